import csv

import numpy as np
import tensorflow as tf

from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.records.metrics import Metrics
from tests.support.unrolls import B, T, in_groups, make_unroll

NAMES = ("total", "ratio_max", "ratio_min")


def rows_of(path):
    with path.open() as file:
        return [{k: v if k == "task" else float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def make_batch(version=0):
    unroll = make_unroll()
    rows = unroll.env_outputs._replace(
        episode_return=tf.reshape(tf.range((T + 1) * B, dtype=tf.float32), [T + 1, B]),
        episode_steps=tf.reshape(tf.range((T + 1) * B), [T + 1, B]),
        terminated=tf.tensor_scatter_nd_update(unroll.env_outputs.terminated, [[0, 3]], [True]),
    )
    batch = unroll._replace(
        env_outputs=rows, policy_version=tf.fill([B], tf.constant(version, tf.int64)), actor=tf.range(B)
    )
    return in_groups(batch)


def test_what_is_read_off_a_batch():
    statistics = batch_statistics(make_batch())
    # Episodes end at rows (2, 0) and (3, 1), the second by a time limit, and row 0 of environment 3 begins one whose
    # predecessor belongs to the unroll before. What happens at row T = 5 is seen in the next unroll.
    assert statistics.returns.tolist() == [2 * B + 0, 3 * B + 1]
    assert statistics.lengths.tolist() == [2 * B + 0, 3 * B + 1]
    assert statistics.actors.tolist() == [0, 1]
    assert statistics.num_steps == T * B - 2, "two steps were resets; the first row 0 is no step of this unroll"


def test_a_lost_life_is_no_end_of_an_episode():
    batch = make_batch()
    rows = batch.env_outputs
    lost = rows.terminated.numpy()
    lost[:, 1] = True
    again = batch_statistics(batch._replace(env_outputs=rows._replace(terminated=tf.constant(lost))))
    assert again.returns.tolist() == batch_statistics(batch).returns.tolist()


def test_rows_of_the_csv_and_tensorboard(tmp_path):
    metrics = Metrics(tmp_path, NAMES)
    with metrics.timer("update"):
        pass
    metrics.record(100, 1, 0.2, batch_statistics(make_batch(version=0)), tf.constant([1.0, 2.0, 0.5]))
    metrics.record(200, 4, 0.125, batch_statistics(make_batch(version=1)), tf.constant([3.0, 1.5, 0.25]))
    metrics.write_row(7)
    metrics.write_row(7)  # Nothing new: no row.
    metrics.record(300, 5, 0.1, batch_statistics(make_batch(version=4)), tf.constant([5.0, 5.0, 5.0]))
    metrics.write_row(7)
    metrics.write_text("bottleneck", "nothing")
    metrics.close()
    first, second = rows_of(tmp_path / "metrics.csv")
    assert first["environment_frames"] == 200
    assert (first["total"], first["ratio_max"], first["ratio_min"]) == (2.0, 2.0, 0.25)
    # Update 1 used weights 0: lag 0. Update 4 used weights 1: two updates had come between.
    assert (first["policy_lag_mean"], first["policy_lag_max"]) == (1.0, 2.0)
    assert (first["learning_rate"], first["queue_size"], first["episodes"]) == (0.125, 7, 4)
    np.testing.assert_allclose([first["episode_return_last_100"], first["episode_return"]], np.mean([8, 13]), rtol=1e-5)
    assert second["episodes"] == 6
    assert second["total"] == 5.0

    episodes = rows_of(tmp_path / "episodes.csv")
    assert [e["episode_return"] for e in episodes] == [8, 13] * 3
    assert [e["actor"] for e in episodes] == [0, 1] * 3
    assert [e["environment_frames"] for e in episodes] == [100] * 2 + [200] * 2 + [300] * 2

    (events,) = tmp_path.glob("events*")
    scalars = {}
    for event in tf.compat.v1.train.summary_iterator(str(events)):
        for value in event.summary.value:
            if value.HasField("tensor"):
                assert (event.step, value.tag, value.tensor.string_val) == (300, "bottleneck", [b"nothing"])
            scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    assert scalars["losses/total"] == [(200, 2.0), (300, 5.0)]
    assert [value for _, value in scalars["episodes/episode_return"]] == [8, 13] * 3
    assert scalars["run/learning_rate"][0] == (200, 0.125)


def test_restored_they_go_on_without_a_seam(tmp_path):
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())
    metrics.record(100, 1, 0.5, statistics, tf.zeros([3]))
    metrics.write_row(0)
    state = metrics.state()
    metrics.record(200, 2, 0.4, statistics, tf.zeros([3]))
    metrics.write_row(0)  # Lost: after the checkpoint.
    metrics.close()

    resumed = Metrics(tmp_path, NAMES)
    resumed.restore(state, 100)
    assert resumed.seconds == state["seconds"]
    assert resumed.mean_return() == np.mean([8, 13])
    resumed.record(150, 2, 0.45, statistics, tf.zeros([3]))
    resumed.write_row(0)
    rows = rows_of(tmp_path / "metrics.csv")
    assert [row["environment_frames"] for row in rows] == [100, 150]
    assert [row["episodes"] for row in rows] == [2, 4]
    assert rows[1]["seconds"] >= rows[0]["seconds"]
    assert [row["environment_frames"] for row in rows_of(tmp_path / "episodes.csv")] == [100] * 2 + [150] * 2


def test_each_task_has_its_own_mean_and_its_score_is_normalised(tmp_path):
    tasks = ("MinAtar/Breakout-v0", "MinAtar/Asterix-v0")
    metrics = Metrics(tmp_path, NAMES, tasks)
    batch = make_batch()  # Two groups of two unrolls; the episodes of environments 0 and 1 end, with 8 and 13.
    batch = batch._replace(task=tf.constant([[0, 1], [1, 1]]))
    for update in (1, 2):
        metrics.record(100 * update, update, 0.5, batch_statistics(batch), tf.zeros([3]))
    metrics.record(300, 3, 0.5, batch_statistics(make_batch()), tf.zeros([3]))  # Both of task 0.
    row = metrics.write_row(0)
    assert row["return/MinAtar/Breakout-v0"] == np.mean([8, 8, 8, 13])
    assert row["return/MinAtar/Asterix-v0"] == 13
    assert row["episode_return_last_100"] == np.mean([9.25, 13])
    scores = [(9.25 - 0.54) / (17.1 - 0.54), (13 - 0.47) / (18.6 - 0.47)]
    np.testing.assert_allclose(row["normalised_mean"], np.mean(scores))
    np.testing.assert_allclose(row["normalised_median"], np.median(scores))
    assert [e["task"] for e in rows_of(tmp_path / "episodes.csv")] == [*tasks, *tasks, tasks[0], tasks[0]]

    resumed = Metrics(tmp_path, NAMES, tasks)
    resumed.restore(metrics.state(), 300)
    assert resumed.mean_returns() == metrics.mean_returns()


def test_an_empty_csv_is_begun_anew(tmp_path):
    for name in ("metrics.csv", "episodes.csv"):
        (tmp_path / name).write_text("")
    metrics = Metrics(tmp_path, NAMES)
    metrics.restore({"seconds": 1.0, "episodes": 0, "recent_returns": {}}, 50)
    metrics.record(100, 1, 0.5, batch_statistics(make_batch()), tf.zeros([3]))
    metrics.write_row(0)
    assert rows_of(tmp_path / "metrics.csv")[0]["environment_frames"] == 100
