import csv

import numpy as np
import tensorflow as tf

from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.records.metrics import Metrics
from impala_tf.records.tables import append_rows
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


def test_values_stay_in_their_columns_when_a_run_goes_on_with_others(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("environment_frames,secs/forward,total\n1,0.5,2\n")  # As an earlier version wrote it.
    append_rows(path, ("environment_frames", "total", "ratio_max"), [[2, 3, 4], [5, 6, 7]])
    append_rows(path, ("environment_frames", "total", "ratio_max"), [[8, 9, 10]])
    assert path.read_text().split() == [
        "environment_frames,secs/forward,total,ratio_max", "1,0.5,2,nan", "2,nan,3,4", "5,nan,6,7", "8,nan,9,10",
    ]  # fmt: skip


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


TASKS = ("MinAtar/Breakout-v0", "MinAtar/Asterix-v0", "MinAtar/Freeway-v0")


def test_the_mean_is_over_the_tasks_that_have_ended_an_episode(tmp_path):
    metrics = Metrics(tmp_path, NAMES, TASKS)
    assert np.isnan(metrics.mean_return())
    none_yet = batch_statistics(make_batch())
    none_yet = none_yet._replace(**{name: getattr(none_yet, name)[:0] for name in ("actors", "tasks", "returns")})
    metrics.record(50, 1, 0.5, none_yet._replace(lengths=none_yet.lengths[:0]), tf.zeros([3]))
    row = metrics.write_row(0)
    assert np.isnan([row["episode_return_last_100"], row["normalised_mean"], row["normalised_median"]]).all()

    batch = make_batch()._replace(task=tf.constant([[0, 1], [1, 1]]))  # An episode of task 0 ends with 8, of 1 with 13.
    metrics.record(100, 2, 0.5, batch_statistics(batch), tf.zeros([3]))
    assert metrics.mean_return() == (8 + 13) / 2
    row = metrics.write_row(0)
    assert row["episode_return_last_100"] == (8 + 13) / 2
    assert np.isnan(row["return/MinAtar/Freeway-v0"])
    scores = [(8 - 0.54) / (17.1 - 0.54), (13 - 0.47) / (18.6 - 0.47)]
    np.testing.assert_allclose(row["normalised_mean"], np.mean(scores))
    np.testing.assert_allclose(row["normalised_mean_capped"], np.mean(np.minimum(scores, 1)))


def test_a_task_without_a_reference_leaves_no_normalised_mean(tmp_path):
    metrics = Metrics(tmp_path, NAMES, ("MinAtar/Breakout-v0", "Other-v0"))
    metrics.record(100, 1, 0.5, batch_statistics(make_batch()._replace(task=tf.ones([2, 2], tf.int32))), tf.zeros([3]))
    row = metrics.write_row(0)
    assert np.isnan(row["normalised_mean"])
    assert row["episode_return_last_100"] == (8 + 13) / 2


def test_only_the_last_hundred_episodes_count(tmp_path):
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())
    for update in range(1, 4):
        returns = np.arange(50 * update, 50 * update + 50, dtype=np.float32)
        wide = {name: np.zeros(50, np.int32) for name in ("actors", "tasks", "lengths")}
        metrics.record(100 * update, update, 0.5, statistics._replace(returns=returns, **wide), tf.zeros([3]))
    assert metrics.mean_return() == np.mean(np.arange(100, 200))
    assert metrics.episodes == 150


def test_speed_and_times_are_those_of_the_interval(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())
    metrics.add_seconds("update", 50.0)  # The first one compiles: it counts in its row, but not in the totals.
    metrics.record(100, 1, 0.5, statistics, tf.zeros([3]))
    assert metrics.seconds == 0
    now[0] += 10
    metrics.add_seconds("update", 2.0)
    metrics.add_seconds("update", 4.0)
    metrics.add_seconds("act", 30.0)  # Begun before the first update.
    metrics.record(300, 2, 0.5, statistics, tf.zeros([3]))
    first = metrics.write_row(0)
    now[0] += 5
    with metrics.timer("act"):
        now[0] += 5
    metrics.record(400, 3, 0.5, statistics, tf.zeros([3]))
    second = metrics.write_row(0)
    assert (first["seconds"], second["seconds"]) == (10, 20)
    assert (first["frames_per_sec"], second["frames_per_sec"]) == (30, 10)
    np.testing.assert_allclose([first["secs/update"], first["secs/act"], second["secs/act"]], [56 / 3, 30, 5])
    assert np.isnan(second["secs/update"])
    assert (metrics.total_seconds("update"), metrics.total_seconds("act")) == (6, 5)

    resumed = Metrics(tmp_path, NAMES)
    resumed.restore(metrics.state(), 400)
    assert resumed.seconds == 20
    resumed.record(500, 4, 0.5, statistics, tf.zeros([3]))
    now[0] += 2
    row = resumed.write_row(0)
    assert (row["seconds"], row["frames_per_sec"]) == (22, 50)


def test_the_lag_is_counted_in_updates_from_the_acting_weights(tmp_path):
    """Update 8 learns from unrolls of weights 7, 5, 5 and 3: the learner had made 7 updates when it began."""
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())._replace(versions=np.array([[7, 5], [5, 3]]))
    metrics.record(100, 8, 0.5, statistics, tf.zeros([3]))
    row = metrics.write_row(0)
    assert (row["policy_lag_mean"], row["policy_lag_max"], metrics.last_lag) == (2, 4, 2)


def test_means_of_returns_and_lengths_are_apart(tmp_path):
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())._replace(lengths=np.array([30, 50], np.int32))
    metrics.record(100, 1, 0.5, statistics, tf.zeros([3]))
    row = metrics.write_row(0)
    assert (row["episode_return"], row["episode_length"]) == (np.mean([8, 13]), 40)
    assert [e["episode_length"] for e in rows_of(tmp_path / "episodes.csv")] == [30, 50]
    metrics.close()
    scalars = scalars_of(tmp_path)
    assert scalars["episodes/episode_length"] == [(100, 30), (100, 50)]
    assert scalars["run/updates"] == [(100, 1)]
    assert "run/secs/update" not in scalars, "nothing was timed, and nan is not written"


def scalars_of(logdir):
    scalars = {}
    for path in sorted(logdir.glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                scalars.setdefault(value.tag, []).append((event.step, value.simple_value))
    return scalars


def test_tensorboard_gets_a_sample_of_many_episodes(tmp_path):
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())
    wide = {name: np.zeros(250, np.int32) for name in ("actors", "tasks", "lengths")}
    metrics.record(100, 1, 0.5, statistics._replace(returns=np.arange(250.0), **wide), tf.zeros([3]))
    metrics.write_row(0)
    metrics.close()
    values = [value for _, value in scalars_of(tmp_path)["episodes/episode_return"]]
    assert values == list(range(0, 250, 2))
    assert len(rows_of(tmp_path / "episodes.csv")) == 250


def test_rows_after_the_checkpoint_are_dropped_from_every_table_and_from_tensorboard(tmp_path):
    report = dict(mean=1.0, standard_error=0.5, interval_95=[0.25, 2.0], num_episodes=9)
    metrics = Metrics(tmp_path, NAMES)
    statistics = batch_statistics(make_batch())
    states = []
    for update in (1, 2, 3):
        metrics.record(100 * update, update, 0.5, statistics, tf.zeros([3]))
        metrics.write_row(0)
        metrics.evaluations.record(100 * update, update, "", report)
        states.append(metrics.state())
    metrics.close()
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("100,1")  # It was cut off while it was written.

    resumed = Metrics(tmp_path, NAMES)
    resumed.restore(states[1], 200)
    resumed.close()
    frames = {
        name: [row["environment_frames"] for row in rows_of(tmp_path / f"{name}.csv")]
        for name in ("metrics", "episodes", "evaluations")
    }
    assert frames == dict(metrics=[100, 200], episodes=[100, 100, 200, 200], evaluations=[100, 200])
    assert not list(tmp_path.glob("*.tmp"))
    starts = [
        event.step
        for path in sorted(tmp_path.glob("events*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.HasField("session_log")
    ]
    assert starts == [201], "TensorBoard drops the steps from this one on"


def test_rows_of_evaluations(tmp_path):
    metrics = Metrics(tmp_path, NAMES, ("a", "b"))
    report = dict(mean=1.0, standard_error=0.5, interval_95=[0.25, 2.0], num_episodes=9)
    metrics.evaluations.record(100, 7, "a", report)
    assert not metrics.evaluations.is_complete(100)
    metrics.evaluations.record(100, 7, "b", report | dict(mean=3.0))
    assert metrics.evaluations.is_complete(100)
    assert not metrics.evaluations.is_complete(200)
    metrics.close()
    first, second = rows_of(tmp_path / "evaluations.csv")
    assert first == dict(
        environment_frames=100, updates=7, task="a", mean=1, standard_error=0.5, low_95=0.25, high_95=2, num_episodes=9
    )
    assert (second["task"], second["mean"]) == ("b", 3)
    scalars = scalars_of(tmp_path)
    assert scalars == {"evaluation/mean_return/a": [(100, 1.0)], "evaluation/mean_return/b": [(100, 3.0)]}


def test_the_evaluations_of_a_single_task_need_no_name(tmp_path):
    metrics = Metrics(tmp_path, NAMES, ("a",))
    metrics.evaluations.record(100, 7, "a", dict(mean=1.0, standard_error=0, interval_95=[1, 1], num_episodes=9))
    metrics.close()
    assert scalars_of(tmp_path) == {"evaluation/mean_return": [(100, 1.0)]}


def test_skipped_updates_have_no_metrics_but_are_counted(tmp_path):
    metrics = Metrics(tmp_path, NAMES)
    metrics.record(100, 1, 0.1, batch_statistics(make_batch()), None)
    row = metrics.write_row(0)
    assert row["skipped_updates"] == 1
    assert np.isnan(row["total"])
    metrics.record(200, 2, 0.1, batch_statistics(make_batch()), None)
    metrics.record(300, 3, 0.1, batch_statistics(make_batch()), np.float32([1, 2, 3]))
    row = metrics.write_row(0)
    assert (row["skipped_updates"], row["total"], row["ratio_max"]) == (1, 1, 2)
    metrics.close()
