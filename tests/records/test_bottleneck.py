"""The report names the right culprit: for known times, and in a run that is made to have one."""

import types

import pytest

from impala_tf.config import Config
from impala_tf.records import bottleneck
from impala_tf.records.logdir import LogDir
from impala_tf.running import training
from tests.support.environments import TESTS


def seconds(**parts):
    return bottleneck.Seconds(**(dict.fromkeys(bottleneck.Seconds._fields, 0) | parts))


def verdict(architecture="impala", **parts):
    return bottleneck.explain(seconds(**parts), 8, 32, architecture).splitlines()[1]


def test_the_figures_are_shares():
    text = bottleneck.explain(seconds(wait=62, update=38, weights=10, turn=25, act=50, put=15, environment=12), 8, 32)
    assert text.splitlines()[0] == (
        "learner: 62% waiting for unrolls, 38% updating; "
        "actors: 20% handing unrolls to the queue, 10% waiting for new weights; acting: 24% environment, 76% policy"
    )
    assert bottleneck.explain(seconds(), 8, 32) == "no update was timed"


def test_a_learner_that_does_not_wait_is_the_limit():
    assert verdict(wait=29, update=71, act=50, put=50, environment=49).startswith(
        "the learner is the limit (batches of 32"
    )
    assert not verdict(wait=31, update=69, act=50, put=50, environment=49).startswith("the learner")


def test_where_both_sides_wait_the_queue_is_the_limit():
    assert verdict(wait=50, update=50, act=69, put=31).startswith("the queue is the limit")
    assert not verdict(wait=50, update=50, act=71, put=29).startswith("the queue")
    assert not verdict(wait=50, update=50, act=29, put=31, weights=50).startswith("the queue")
    # Three of four actors wait for the turn that the fourth holds, because there is no room for its unrolls.
    assert verdict(wait=50, update=50, act=40, put=60, turn=300).startswith("the queue is the limit")


def test_the_larger_part_of_acting_is_the_limit():
    environments = verdict(wait=90, update=10, act=100, environment=51)
    assert environments.startswith("the environments are the limit")
    assert "--vectorization=async" in environments
    policy = verdict(wait=90, update=10, act=100, environment=49)
    assert policy.startswith("the policy is the limit (calls of 8 rows): raise --num_envs_per_actor, or")
    a2c = verdict("a2c_sync_step", wait=90, update=10, act=100, environment=49)
    assert "raise --num_envs_per_actor with --batch_size, or" in a2c


def test_who_waits_for_each_other_is_told_so():
    advice = "actors and learner wait for each other, which --architecture=impala avoids"
    assert advice in verdict("a2c_sync_trajectory", wait=50, update=50, weights=40, act=60)
    assert advice not in verdict("a2c_sync_trajectory", wait=20, update=80, weights=40, act=60)
    assert advice not in verdict("a2c_sync_trajectory", wait=50, update=50, weights=20, act=80)


@pytest.mark.parametrize(
    ("parts", "limit"),
    [
        (dict(act=50, gradient=30, update=15, wait=10), "the gradients are the limit (of 8 unrolls)"),
        (dict(act=60, gradient=30, update=15, wait=10, environment=31), "the environments are the limit"),
        (dict(act=60, gradient=30, update=15, wait=10, environment=29), "the policy is the limit (calls of 8 rows)"),
        (dict(act=60), "no update was timed"),
    ],
)
def test_the_limit_of_a3cs_workers(parts, limit):
    assert bottleneck.explain_workers(seconds(**parts), 8).splitlines()[-1].startswith(limit)


def test_the_shares_of_a3cs_workers():
    text = bottleneck.explain_workers(seconds(act=40, gradient=30, wait=10, update=15, turn=5, environment=10), 8)
    assert text.splitlines()[0] == (
        "workers: 40% acting, 30% computing gradients, 10% waiting for the shared weights, 15% updating them, "
        "5% waiting for a turn to act; acting: 25% environment, 75% policy"
    )


@pytest.mark.parametrize("architecture", ["impala", "a3c"])
def test_a_run_is_explained_by_its_own_times(architecture):
    config = Config(architecture=architecture, num_actors=2, num_envs_per_actor=4, batch_size=4)
    times = seconds(wait=10, update=10, act=100, environment=60, gradient=20)
    metrics = types.SimpleNamespace(total_seconds=lambda name: getattr(times, name))
    text = training.explain_time(types.SimpleNamespace(config=config, metrics=metrics))
    expected = bottleneck.explain(times, 4, 4) if architecture == "impala" else bottleneck.explain_workers(times, 4)
    assert text == expected


def test_a_run_with_slow_environments(tmp_path):
    """They sleep for most of the time, so that the verdict does not depend on the machine."""
    config = Config(
        logdir=str(tmp_path), env_id=f"{TESTS}Slow-v0", num_actors=2, num_envs_per_actor=2, batch_size=4, xla="off",
        unroll_length=5, log_every_secs=0.1, total_environment_frames=400,
    )  # fmt: skip
    assert "the environments are the limit" in training.train(config, LogDir(config, warn=print)).bottleneck
