"""Updates with PopArt: its losses are the plain ones in units of sigma, and its values follow the returns."""

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms.impala import Impala
from impala_tf.algorithms.surrogate import Impact
from impala_tf.config import Config, SettingError
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.records.logdir import LogDir
from impala_tf.types import LossCosts
from tests.support.runs import run
from tests.support.unrolls import make_batch, make_learner


def value_of(learner):
    """The value of one observation."""
    agent, one = learner.agent, tf.ones([1, 1])
    inputs = (
        one,
        tf.zeros([1]),
        tf.zeros([1], tf.int64),
        tf.zeros([1], tf.bool),
        tf.zeros([1, 0]),
        tf.zeros([2], tf.int32),
    )
    return float(agent.step(*inputs).baseline[0])


def with_moments(mean, sigma):
    """A learner whose statistics are these, and a plain one with the same policy and values."""
    learner, plain = make_learner(popart=True), make_learner()
    learner.agent.statistics[0].assign([mean])
    learner.agent.statistics[1].assign([sigma**2])
    for ours, theirs in zip(learner.agent.variables, plain.agent.variables, strict=True):
        theirs.assign(ours)
    kernel, bias = plain.agent.variables[-2:]
    kernel.assign(sigma * kernel)
    bias.assign(sigma * bias + mean)
    return learner, plain


def test_losses_are_the_plain_ones_in_units_of_the_scale():
    mean, sigma = 7.0, 4.0
    learner, plain = with_moments(mean, sigma)
    assert value_of(learner) == pytest.approx(value_of(plain), rel=1e-5)
    names = learner.metric_names
    ours = dict(zip(names, learner.update(make_batch(0), 10).metrics.numpy(), strict=True))
    theirs = dict(zip(names, plain.update(make_batch(0), 10).metrics.numpy(), strict=True))
    assert ours["policy_gradient"] == pytest.approx(theirs["policy_gradient"] / sigma, rel=1e-4)
    assert ours["baseline"] == pytest.approx(theirs["baseline"] / sigma**2, rel=1e-4)
    assert ours["mean_entropy"] == pytest.approx(theirs["mean_entropy"], rel=1e-5)


@pytest.mark.parametrize("xla", ["off", "on"])
def test_an_update_changes_values_by_its_step_alone(xla):
    """With a learning rate of 0 values stay, while the statistics take the batch's targets."""
    learner = make_learner(popart=True, xla=xla, popart_step=0.05)
    learner.hyperparameters = learner.hyperparameters._replace(learning_rate=0.0)
    before = value_of(learner)
    result = learner.update(make_batch(0), 10)
    mean, variance = (float(v[0]) for v in learner.agent.statistics)
    assert abs(mean) > 0.01
    assert variance > 2
    assert value_of(learner) == pytest.approx(before, abs=1e-5)
    np.testing.assert_array_equal(result.flat_weights, learner.agent.flat_weights())


def test_a_target_network_with_older_statistics_has_the_same_values(monkeypatch):
    """With a learning rate of 0 only the statistics change; both networks' values are in the learner's units."""
    seen = []

    def loss(self, inputs):
        seen.append(inputs)
        return plain(self, inputs)

    plain = Impact.loss
    monkeypatch.setattr(Impact, "loss", loss)
    learner = make_learner(algorithm="impact", popart=True, popart_step=0.05, target_update_period=1000)
    old = learner.agent.flat_weights()
    learner.hyperparameters = learner.hyperparameters._replace(learning_rate=0.0)
    learner.update(make_batch(0), 10)
    assert np.any(learner.agent.flat_weights() != old)
    learner.objective.evaluate(join_groups(make_batch(1)), all_fresh(4), LossCosts(0.1, 0.5, 0.1, 0.0), old)
    outputs, target = seen[-1].outputs, seen[-1].target
    np.testing.assert_allclose(target.baselines, outputs.baselines, atol=1e-5)
    np.testing.assert_allclose(target.parameters, outputs.parameters, atol=1e-5)


def test_an_algorithm_without_targets_is_refused(monkeypatch):
    plain = Impala.loss
    monkeypatch.setattr(Impala, "loss", lambda self, inputs: plain(self, inputs)._replace(vs_tm1=None))
    learner = make_learner(popart=True)
    with pytest.raises(SettingError, match=r"^--popart=true: Impala gives no targets of the baseline"):
        learner.update(make_batch(0), 10)


def test_two_tasks_have_statistics_of_their_own_in_a_run_and_go_on(tmp_path):
    settings = dict(env_id="CartPole-v1,impala_tf/CartPoleNoVelocity-v1", popart=True, optimizer="adam", epsilon=1e-5)
    run(tmp_path, total_environment_frames=1500, checkpoint_every_updates=1000, **settings)
    checkpoint = LogDir(Config(logdir=str(tmp_path), hidden_sizes=(16,), **settings), warn=print).checkpoint
    assert checkpoint
    means = {name: array for name, array in checkpoint[0].items() if name.startswith("statistics/popart")}
    assert [array.shape for array in means.values()] == [(2,), (2,)]
    assert all(array[0] != array[1] for array in means.values())
    run(tmp_path, total_environment_frames=2500, **settings)
