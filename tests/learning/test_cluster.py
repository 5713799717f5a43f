"""Several learners are one: clusters of processes of their own, which scripts/prove_learners.py makes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.experience.void_batch import void_batch
from impala_tf.learning.cluster import ALONE, join_metrics
from impala_tf.running.actors import unroll_spec_of
from tests.support.paths import ROOT
from tests.support.unrolls import make_batch, make_learner

UPDATES = 20


@pytest.fixture(scope="module")
def proof(tmp_path_factory):
    """What two learners found in one cluster, by case."""
    path = tmp_path_factory.mktemp("proof") / "learners.json"
    command = [sys.executable, "scripts/prove_learners.py", "--learners=2", "--cases=mlp,xla,skip"]
    command += [f"--updates={UPDATES}", "--kills=0", "--freezes=0", f"--results={path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {row["case"]: row for row in json.loads(path.read_text())["equality"]}


@pytest.mark.parametrize("case", ["mlp", "xla", "skip"])
def test_two_learners_equal_one_with_the_joined_batch(proof, case):
    """xla has an LSTM and normalised observations and returns; in skip both leave out the same updates."""
    row = proof[case]
    assert row["moved"] > 0.01
    assert row["largest_difference"] < 1e-6
    assert row["largest_relative_difference_of_statistics"] < 1e-6
    assert row["largest_relative_difference_of_metrics"] < 1e-5
    assert row["frames"] == UPDATES * 2 * 100


def test_their_weights_and_optimizers_are_equal_to_the_bit(proof):
    assert all(row["processes_equal"] for row in proof.values())


def test_resumed_equals_unbroken(proof):
    """The chief's state after half of the updates, taken by learners with other weights."""
    assert all(row["resumed_equals_unbroken"] for row in proof.values())


def test_a_void_batch_moves_nothing():
    """Also with statistics, and whatever the weights are."""
    learner = make_learner(core="lstm", core_size=4, normalise_observations=True, normalise_returns=True)
    learner.update(make_batch(0, learner.agent.state_size), 10)
    before = [v.numpy() for v in (*learner.agent.variables, *learner.agent.statistics)]
    batch = void_batch(unroll_spec_of(learner.agent, 5), 2, 2, learner.updates)
    result = learner.update(batch.groups, batch.statistics.num_steps, batch.marks)
    assert result.metrics[learner.metric_names.index("gradient_norm")] == 0
    for value, variable in zip(before, (*learner.agent.variables, *learner.agent.statistics), strict=True):
        np.testing.assert_array_equal(value, variable)
    assert learner.environment_frames == 10


def test_metrics_of_a_joined_batch():
    """Losses add up, means are weighted by valid steps, and a learner without any has no say."""
    names = ("total", "kl", "ratio_max", "ratio_min", "entropy", "a_users_own")
    of_each = [[1.0, 2, 3, 0.5, 5, 6], [10.0, 20, 1, 0.25, 50, 60], [0.0, 7, 9, 0.1, 0, np.nan]]
    metrics = join_metrics(names, tf.constant(of_each), tf.constant([30.0, 10, 0]))
    np.testing.assert_allclose(metrics, [11, 6.5, 3, 0.25, 55, 19.5])
    np.testing.assert_array_equal(join_metrics(names, tf.constant(of_each[:1]), tf.constant([30.0])), of_each[0])


def test_alone_an_exchange_is_the_identity():
    sums, own = ALONE.exchange([tf.constant([1.0])], [tf.constant(2.0)])
    np.testing.assert_array_equal(sums[0], [1])
    np.testing.assert_array_equal(own[0], [2])
    assert ALONE.from_chief(b"text") == b"text"
