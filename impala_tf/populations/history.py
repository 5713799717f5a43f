"""Records every piece of every member, with the decision after it, in population.csv."""

import csv
import io
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from impala_tf.records.files import write_text
from impala_tf.records.tables import append_rows, read_rows

COLUMNS = ("member", "environment_frames", "updates", "episodes", "score", "mean_return", "training_secs")
DECISION_COLUMNS = ("compared_with", "copied_from")


class Row(NamedTuple):
    """A member has finished a piece.

    environment_frames, updates, episodes: counts of the member, which a copy does not change.
    score: score by which members are compared; -inf where the member has diverged or no episode has ended.
    mean_return: mean over the tasks of the mean return of the last 100 episodes.
    training_secs: duration of the piece.
    hyperparameters: those of the piece.
    compared_with, copied_from: members of the decision after it; see `rules.Decision`.
    """

    member: int
    environment_frames: int
    updates: int
    episodes: int
    score: float
    mean_return: float
    training_secs: float
    hyperparameters: dict[str, float]
    compared_with: int | None = None
    copied_from: int | None = None


class History:
    """This is the file population.csv. names: names of the hyperparameters, in the order of their columns."""

    def __init__(self, path: pathlib.Path, names: Sequence[str]):
        self._path = path
        self._header = (*COLUMNS, *names, *DECISION_COLUMNS)
        self._names = tuple(names)

    def rows(self) -> list[Row]:
        """Returns all rows, in the order in which they were added. A last row that was cut off is left out."""
        return [self._row(row) for row in read_rows(self._path) if row[DECISION_COLUMNS[-1]] is not None]

    def latest(self) -> dict[int, Row]:
        """Returns the last row of each member that has one."""
        return {row.member: row for row in self.rows()}

    def add(self, row: Row) -> None:
        """Adds a row. Rows of the same member after as many frames or more were lost in a crash; it replaces them."""
        rows = self.rows()
        kept = [x for x in rows if x.member != row.member or x.environment_frames < row.environment_frames]
        text_ends = not self._path.exists() or self._path.read_text().endswith("\n")
        if len(kept) < len(rows) or not text_ends:
            text = io.StringIO(newline="")
            writer = csv.writer(text)
            writer.writerows([self._header, *map(self._cells, [*kept, row])])
            write_text(self._path, text.getvalue())
        else:
            append_rows(self._path, self._header, [self._cells(row)])

    def _cells(self, row: Row) -> list:
        decision = ["" if member is None else member for member in (row.compared_with, row.copied_from)]
        return [
            *(row.member, row.environment_frames, row.updates, row.episodes),
            *(f"{row.score:.6g}", f"{row.mean_return:.6g}", f"{row.training_secs:.3f}"),
            *(f"{row.hyperparameters[name]:.6g}" for name in self._names),
            *decision,
        ]

    def _row(self, cells: dict[str, str]) -> Row:
        compared_with, copied_from = (int(cells[name]) if cells[name] else None for name in DECISION_COLUMNS)
        return Row(
            member=int(cells["member"]),
            environment_frames=int(cells["environment_frames"]),
            updates=int(cells["updates"]),
            episodes=int(cells["episodes"]),
            score=float(cells["score"]),
            mean_return=float(cells["mean_return"]),
            training_secs=float(cells["training_secs"]),
            hyperparameters={name: float(cells[name]) for name in self._names},
            compared_with=compared_with,
            copied_from=copied_from,
        )


def ancestry(rows: Sequence[Row], member: int) -> list[Row]:
    """Returns the pieces that made a member's present weights, oldest first.

    rows: all rows in the order in which the pieces ended, as `History.rows` gives them.
    """
    line: list[Row] = []
    arrived = True  # The decision after the piece whose weights were copied came later than the copy.
    for row in reversed(rows):
        if row.member != member:
            continue
        if row.copied_from is not None and not arrived:
            member, arrived = row.copied_from, True
        else:
            line.append(row)
            arrived = False
    return line[::-1]
