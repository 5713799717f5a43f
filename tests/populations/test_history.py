"""population.csv keeps every piece, also over crashes, and tells where a member's weights come from."""

import math

from impala_tf.populations.history import History, Row, ancestry
from impala_tf.populations.picture import draw


def row(member, frames, score=0.5, copied_from=None, compared_with=None):
    hyperparameters = dict(learning_rate=1e-3, epsilon=0.1)
    return Row(member, frames, frames // 10, 3, score, 12.5, 2.5, hyperparameters, compared_with, copied_from)


def test_rows_are_read_as_they_were_written(tmp_path):
    history = History(tmp_path / "population.csv", ["learning_rate", "epsilon"])
    rows = [row(0, 100), row(1, 100, -math.inf, copied_from=0, compared_with=0), row(0, 200, compared_with=1)]
    for item in rows:
        history.add(item)
    assert history.rows() == rows
    assert history.latest() == {0: rows[2], 1: rows[1]}


def test_rows_that_a_crash_has_undone_are_replaced(tmp_path):
    path = tmp_path / "population.csv"
    history = History(path, ["learning_rate", "epsilon"])
    for item in (row(0, 100), row(1, 100), row(0, 200), row(0, 300)):
        history.add(item)
    history.add(row(0, 210, 0.9))
    assert history.rows() == [row(0, 100), row(1, 100), row(0, 200), row(0, 210, 0.9)]
    path.write_text(path.read_text() + "1,200,20")
    assert len(history.rows()) == 4
    history.add(row(1, 200))
    assert history.rows()[-1] == row(1, 200)
    assert len(history.rows()) == 5


def test_the_ancestry_follows_the_weights_over_copies(tmp_path):
    """Member 1 copies 0 at 200, member 2 copies 1 at 300; each goes on with the weights of the piece before."""
    rows = [
        *(row(0, 100), row(1, 100), row(2, 100)),
        *(row(0, 200, copied_from=2), row(1, 200, copied_from=0), row(2, 200)),
        *(row(0, 300), row(1, 300, copied_from=2), row(2, 300, copied_from=1)),
        row(2, 400),
    ]
    line = [(x.member, x.environment_frames) for x in ancestry(rows, 2)]
    # 0's copy of 2 came after the piece that 1 copied.
    assert line == [(0, 100), (0, 200), (1, 300), (2, 400)]
    assert [(x.member, x.environment_frames) for x in ancestry(rows[:6], 2)] == [(2, 100), (2, 200)]
    assert draw(rows, tmp_path / "population.png")
    assert (tmp_path / "population.png").stat().st_size > 20_000
