"""Adam's steps beside the equations in numpy; what an optimizer goes on from; numbers of an update as inputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms.surrogate import Ppo
from impala_tf.config import Config
from impala_tf.learning import optimizers
from impala_tf.learning.objective import Objective
from impala_tf.learning.optimizers import hyperparameters_of, make_optimizer
from tests.support.unrolls import make_batch, make_learner

ADAMW = dict(optimizer="adamw", weight_decay=0.5)


@pytest.mark.parametrize("settings", [dict(optimizer="adam"), ADAMW, dict(adam_beta_1=0.5, adam_beta_2=0.9) | ADAMW])
def test_adam_is_that_of_its_paper(settings):
    """Kingma and Ba 2015, the form before section 2.1 (epsilon hat); decoupled decay as Loshchilov and Hutter 2019.

    The gradients are of very different size, and some are of epsilon's size.
    """
    config = Config(clip_norm=1e9, **settings)
    random = np.random.default_rng(0)
    weight = random.normal(size=(7, 3)).astype(np.float32)
    variable, expected = keras.Variable(weight), weight.astype(np.float64)
    optimizer = make_optimizer(config, [variable])
    mean, square = np.zeros((7, 3)), np.zeros((7, 3))
    for t in range(1, 51):
        rate, epsilon = 0.05 * (1 - t / 100), 10.0 ** -(t % 5)
        gradient = random.normal(size=(7, 3)) * 10 ** random.uniform(-3, 1)
        numbers = hyperparameters_of(config)._replace(learning_rate=rate, epsilon=epsilon)
        optimizers.step(optimizer, [variable], [tf.constant(gradient, tf.float32)], numbers)
        beta_1, beta_2 = config.adam_beta_1, config.adam_beta_2
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        alpha = rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        expected = expected - rate * config.weight_decay * expected
        expected = expected - alpha * mean / (np.sqrt(square) + epsilon)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-5)


class CountsTraces(Ppo):
    """PPO, whose loss has all terms, and it counts how often its loss is traced."""

    traces = 0

    def loss(self, inputs):
        CountsTraces.traces += 1
        return super().loss(inputs)


class TeacherOfZeros:
    """A term with the cost of a teacher, which draws the policy's parameters to 0."""

    metric_names = ()

    def loss(self, inputs):
        return inputs.costs.teacher * tf.reduce_sum(tf.square(inputs.outputs.parameters)), {}


def test_every_number_of_an_update_changes_it_without_a_new_trace(monkeypatch):
    monkeypatch.setattr(CountsTraces, "traces", 0)
    learner = make_learner(kl_cost=0.5, teacher_cost=0.5, **ADAMW)
    learner.objective = Objective(CountsTraces(), learner.agent, [TeacherOfZeros()])
    learner.update(make_batch(0), 10)
    start, base = learner.state(), learner.hyperparameters

    def updated(hyperparameters):
        learner.restore(start)
        learner.hyperparameters = hyperparameters
        return learner.update(make_batch(1), 10).flat_weights.numpy()

    plain = updated(base)
    for name in base._fields:
        assert getattr(base, name) == getattr(learner._config, name), "a setting of the same name is the start"
        changed = updated(base._replace(**{name: 3 * getattr(base, name) if name != "clip_norm" else 0.1}))
        assert np.any(changed != plain), name
    np.testing.assert_array_equal(updated(base), plain)
    assert CountsTraces.traces == 1


def test_adamw_compiled_by_xla_is_the_same_update():
    """First the gradient, then the decay, then the step: XLA must not change the order."""
    one, other = make_learner(**ADAMW), make_learner(xla="on", **ADAMW)
    for seed in range(2):
        a, b = one.update(make_batch(seed), 10), other.update(make_batch(seed), 10)
    np.testing.assert_allclose(a.flat_weights, b.flat_weights, rtol=1e-3, atol=1e-5)
