"""What an evaluation says of known statistics."""

import numpy as np

from impala_tf.evaluation import reports

BREAKOUT, FREEWAY = "MinAtar/Breakout-v0", "MinAtar/Freeway-v0"


def statistics(mean):
    return dict(num_episodes=3, mean=mean, standard_error=0.5, interval_95=[mean - 1, mean + 1], min=mean - 2,
                max=mean + 2, length_mean=7.5, length_min=5, length_max=9)  # fmt: skip


def result(means):
    description = dict(env_id="x", saved_model="runs/a/saved_model", protocol="paper", greedy=True, seed=1)
    return reports.result_of(description, {task: statistics(mean) for task, mean in means.items()})


def test_one_task_stands_at_the_top(capsys):
    found = result({BREAKOUT: 8.82})
    assert found["mean"] == found["tasks"][BREAKOUT]["mean"] == 8.82
    np.testing.assert_allclose(found["normalised"], 0.5)
    reports.print_result(found)
    assert capsys.readouterr().out.splitlines() == [
        f"{BREAKOUT}, greedy actions, protocol paper, 3 episodes",
        "return: mean 8.82, standard error 0.50, 95 % interval [7.82, 9.82], min 6.82, max 10.82, normalised 0.500",
        "length: mean 7.5, min 5, max 9 steps",
    ]


def test_several_tasks_have_normalised_means(capsys):
    found = result({BREAKOUT: 8.82, FREEWAY: 95.88})
    assert "mean" not in found
    np.testing.assert_allclose([found[f"normalised_{name}"] for name in ("mean", "mean_capped")], [1.25, 0.75])
    reports.print_result(found)
    assert "2 tasks, normalised: mean 1.250, median 1.250, mean of scores capped at 1 0.750" in capsys.readouterr().out


def test_a_task_without_a_reference_leaves_returns():
    found = result({BREAKOUT: 8.82, "CartPole-v1": 100.0})
    assert not [name for name in found if name.startswith("normalised")]
    assert "normalised" in found["tasks"][BREAKOUT]
    assert "normalised" not in found["tasks"]["CartPole-v1"]
    aggregated = reports.aggregate_results([found, found], seed=1)
    assert aggregated["score"] == "mean"
    np.testing.assert_allclose(aggregated["aggregate"]["mean"]["estimate"], (8.82 + 100) / 2)


def test_exports_are_aggregated_by_normalised_scores_where_all_have_one(capsys):
    aggregated = reports.aggregate_results([result({BREAKOUT: 8.82}), result({BREAKOUT: 17.1})], seed=1)
    assert aggregated["score"] == "normalised"
    np.testing.assert_allclose(aggregated["aggregate"]["mean"]["estimate"], 0.75)
    reports.print_aggregate(aggregated)
    out = capsys.readouterr().out
    assert out.startswith("all exports, of the normalised scores:\n")
    assert "  mean 0.750, 95 % interval [0.500, 1.000]\n" in out
