import contextlib
import dataclasses
import gc
import sys

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.learning.learner import Learner, make_optimizer
from tests.support.unrolls import make_batch, make_learner


@pytest.mark.parametrize(("decay", "momentum", "epsilon"), [(0.99, 0.0, 0.1), (0.9, 0.0, 1e-5), (0.99, 0.9, 0.01)])
def test_rmsprop_is_tensorflow_1s(decay, momentum, epsilon):
    """100 random steps beside tf.compat.v1.train.RMSPropOptimizer, with gradients of very different size."""
    import keras

    random = np.random.default_rng(0)
    start = random.normal(size=(7, 3)).astype(np.float32)
    ours, theirs = keras.Variable(start), tf.Variable(start)
    config = Config(decay=decay, momentum=momentum, epsilon=epsilon)
    optimizer = make_optimizer(config, [ours])
    reference = tf.compat.v1.train.RMSPropOptimizer(lambda: rate, decay, momentum, epsilon)
    plain = keras.optimizers.RMSprop(0.01, rho=decay, momentum=momentum, epsilon=epsilon)
    zero_started, zero_by_flag = keras.Variable(start), keras.Variable(start)
    by_flag = make_optimizer(dataclasses.replace(config, initial_mean_square=0.0), [zero_by_flag])
    for step in range(100):
        rate = 0.01 * (1 - step / 100)
        gradient = tf.constant(random.normal(size=(7, 3)) * 10 ** random.uniform(-3, 1), tf.float32)
        optimizer.learning_rate.assign(rate)
        optimizer.apply([gradient], [ours])
        reference.apply_gradients([(gradient, theirs)])
        plain.apply([gradient], [zero_started])
        by_flag.apply([gradient], [zero_by_flag])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6)
    assert np.abs(zero_started.numpy() - theirs.numpy()).max() > 0.01, (
        "the start of the mean square makes no difference"
    )


def test_the_learning_rate_is_linear_in_frames():
    learner = make_learner(learning_rate=0.5, total_environment_frames=60, num_action_repeats=2)
    rates = [learner.learning_rate]
    for _ in range(4):
        learner.update(make_batch(), num_steps=10)
        rates.append(learner.learning_rate)
    np.testing.assert_allclose(rates, [0.5, 0.5 * 2 / 3, 0.5 / 3, 0, 0])
    assert (learner.updates, learner.environment_frames) == (4, 80)


def test_an_update_uses_the_learning_rate_of_its_time():
    learner = make_learner(learning_rate=0.5, total_environment_frames=10)
    learner.update(make_batch(), num_steps=10)
    before = learner.agent.flat_weights().numpy()
    learner.update(make_batch(), num_steps=10)
    np.testing.assert_array_equal(learner.agent.flat_weights(), before)


def test_gradients_are_clipped_by_their_global_norm():
    """RMSProp hides the gradient's scale in the end, so look at its mean square after one update."""
    learner = make_learner(clip_norm=0.5, decay=0.0)
    result = learner.update(make_batch(), num_steps=10)
    assert result.statistics[Learner.STATISTICS.index("gradient_norm")] > 1
    squares = sum(np.sum(v.numpy()) for v in learner.optimizer.variables if "velocity" in v.path)
    np.testing.assert_allclose(np.sqrt(squares), 0.5, rtol=1e-4)


@pytest.mark.parametrize("shape", [{}, {"core": "lstm", "core_size": 4}])
def test_compiled_by_xla_it_is_the_same_update(shape):
    one, other = make_learner(**shape), make_learner(**shape, xla="on")
    for seed in range(3):
        batch = make_batch(seed)
        if shape:
            batch = batch._replace(core_state=tf.random.stateless_normal([2, 2, one.agent.state_size], [1, seed]))
        a, b = one.update(batch, 10), other.update(batch, 10)
        np.testing.assert_allclose(a.statistics, b.statistics, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(a.flat_weights, b.flat_weights, rtol=1e-3, atol=1e-5)


def test_published_weights_are_those_after_the_update():
    learner = make_learner()
    before = learner.agent.flat_weights().numpy()
    result = learner.update(make_batch(), 10)
    assert np.any(result.flat_weights != before)
    np.testing.assert_array_equal(result.flat_weights, learner.agent.flat_weights())


def test_restored_it_goes_on_exactly():
    learner = make_learner()
    for seed in range(3):
        learner.update(make_batch(seed), 10)
    state = learner.state()
    expected = [learner.update(make_batch(seed), 10).flat_weights for seed in (3, 4)]
    other = make_learner(seed=5)
    other.update(make_batch(9), 10)
    other.restore(state)
    assert (other.updates, other.environment_frames) == (3, 30)
    for seed, weights in zip((3, 4), expected, strict=True):
        np.testing.assert_array_equal(other.update(make_batch(seed), 10).flat_weights, weights)
    assert other.learning_rate == learner.learning_rate


@pytest.mark.parametrize("timed", [False, True])
def test_updates_leave_nothing_behind(timed):
    """TensorFlow caches tensors made of Python floats for ever, so a rate given as one would cost memory each time."""
    learner = make_learner(total_environment_frames=10**9)
    batch = make_batch()

    @contextlib.contextmanager
    def timer(name):
        yield

    def update():
        if timed:
            learner.timed_update(batch, 10, timer)
        else:
            learner.update(batch, 10)

    for _ in range(50):
        update()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        update()
    gc.collect()
    assert sys.getallocatedblocks() - before < 500
