"""The report must name the right culprit in runs that are made to have one."""

import time

import pytest

from impala_tf.config import Config
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.records import bottleneck
from impala_tf.records.logdir import LogDir
from impala_tf.running import training, wiring
from tests.support.environments import TESTS

SLOW = f"{TESTS}Slow-v0"


def seconds(**parts):
    return bottleneck.Seconds(**(dict.fromkeys(bottleneck.Seconds._fields, 0) | parts))


def run(tmp_path, **settings):
    config = Config(logdir=str(tmp_path), **({"num_actors": 2, "unroll_length": 5, "log_every_secs": 0.1} | settings))
    return training.train(config, LogDir(config, warn=print)).bottleneck


def test_slow_environments(tmp_path):
    text = run(tmp_path, env_id=SLOW, num_envs_per_actor=2, batch_size=4, total_environment_frames=400)
    assert "the environments are the limit" in text
    assert "--vectorization=async" in text


def test_a_big_network_with_one_environment(tmp_path):
    # Acting reads all weights for one row; the learner shares one reading among a batch of 512 rows.
    text = run(
        tmp_path, num_envs_per_actor=1, batch_size=64, unroll_length=8, hidden_sizes=(2048, 2048), xla="off",
        total_environment_frames=6000,
    )  # fmt: skip
    assert "the policy is the limit (calls of 1 rows): raise --num_envs_per_actor" in text


def test_a_learner_with_tiny_batches(tmp_path):
    text = run(
        tmp_path, num_envs_per_actor=32, batch_size=1, unroll_length=2, hidden_sizes=(512, 512),
        total_environment_frames=1500,
    )  # fmt: skip
    assert "the learner is the limit (batches of 1 unrolls): a larger --batch_size" in text


def test_a_slow_queue(tmp_path, monkeypatch):
    class SlowQueue(UnrollQueue):
        def put(self, unrolls):
            time.sleep(0.05)
            super().put(unrolls)

    monkeypatch.setattr(wiring, "UnrollQueue", SlowQueue)
    text = run(tmp_path, num_envs_per_actor=8, batch_size=8, total_environment_frames=2000)
    assert "the queue is the limit" in text
    assert "--queue_capacity" in text


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (seconds(wait=62, update=38, act=100, put=0, environment=29), "62% waiting for unrolls"),
        (seconds(wait=62, update=38, act=100, put=0, environment=29), "29% environment, 71% policy"),
        (seconds(wait=5, update=95, act=50, put=50, environment=49), "the learner is the limit"),
        (seconds(wait=0, update=0, act=0, put=0, environment=0), "no update was timed"),
    ],
)
def test_figures(times, expected):
    assert expected in bottleneck.explain(times, rows_per_call=8, batch_size=32)
