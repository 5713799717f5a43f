import dataclasses
import gc
import sys

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms.transitions import last_actions
from impala_tf.config import Config
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.learning.optimizers import make_optimizer
from impala_tf.support.diverged import Diverged
from impala_tf.types import Marks
from tests.support.unrolls import in_groups, make_batch, make_learner


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
    assert result.metrics[learner.metric_names.index("gradient_norm")] > 1
    squares = sum(np.sum(v.numpy()) for v in learner.optimizer.variables if "velocity" in v.path)
    np.testing.assert_allclose(np.sqrt(squares), 0.5, rtol=1e-4)


@pytest.mark.parametrize("shape", [{}, {"core": "lstm", "core_size": 4}])
def test_compiled_by_xla_it_is_the_same_update(shape):
    one, other = make_learner(**shape), make_learner(**shape, xla="on")
    for seed in range(3):
        batch = make_batch(seed, one.agent.state_size)
        a, b = one.update(batch, 10), other.update(batch, 10)
        np.testing.assert_allclose(a.metrics, b.metrics, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(a.flat_weights, b.flat_weights, rtol=1e-3, atol=1e-5)


def test_published_weights_are_those_after_the_update():
    learner = make_learner()
    before = learner.agent.flat_weights().numpy()
    result = learner.update(make_batch(), 10)
    assert np.any(result.flat_weights != before)
    np.testing.assert_array_equal(result.flat_weights, learner.agent.flat_weights())


def test_updates_leave_nothing_behind():
    """TensorFlow caches tensors made of Python floats for ever, so a rate given as one would cost memory each time."""
    learner = make_learner(total_environment_frames=10**9)
    batch = make_batch()
    for _ in range(50):
        learner.update(batch, 10)
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        learner.update(batch, 10)
    gc.collect()
    assert sys.getallocatedblocks() - before < 500


@pytest.mark.parametrize("xla", ["off", "on"])
def test_an_update_that_is_not_finite_is_taken_back(xla):
    """The weights before it stay, and the message says what was not finite."""
    learner = make_learner(xla=xla)
    learner.update(make_batch(0), 10)
    before = learner.agent.flat_weights().numpy()
    batch = make_batch(1)
    rows = batch.env_outputs
    reward = tf.tensor_scatter_nd_update(rows.reward, [[0, 2, 0]], [1e38])  # Its square is infinite.
    with pytest.raises(Diverged, match=r"^update 2 is not finite: value error went first; a lower --learning_rate"):
        learner.update(batch._replace(env_outputs=rows._replace(reward=reward)), 10)
    assert learner.has_diverged
    np.testing.assert_array_equal(learner.agent.flat_weights(), before)
    assert (learner.updates, learner.environment_frames) == (1, 10)


def test_a_ratio_may_be_infinite():
    """The actor held an action for impossible, but took it. V-trace clips the ratio, so nothing is wrong."""
    learner = make_learner()
    batch = make_batch(0)
    impossible = -200.0 * tf.one_hot(batch.actions, 3)
    result = learner.update(batch._replace(behaviour_parameters=impossible), 10)
    assert np.isinf(result.metrics[learner.metric_names.index("ratio_max")])
    assert np.all(np.isfinite(result.flat_weights))


def test_weights_that_overflow_are_taken_back():
    """Loss and gradient are finite, but the step is not."""
    learner = make_learner()
    before = learner.agent.flat_weights().numpy()
    learner.hyperparameters = learner.hyperparameters._replace(learning_rate=3e38, epsilon=1e-30)
    for variable in learner.optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(tf.zeros(variable.shape))
    with pytest.raises(Diverged, match=r"^update 1 is not finite: step to the new weights went first"):
        learner.update(make_batch(0), 10)
    np.testing.assert_array_equal(learner.agent.flat_weights(), before)


def test_the_learning_rate_falls_linearly():
    learner = make_learner(learning_rate=0.5, total_environment_frames=100, num_action_repeats=2)
    assert learner.learning_rate == 0.5
    learner.update(make_batch(0), 10)
    assert learner.environment_frames == 20
    assert learner.learning_rate == pytest.approx(0.4)
    learner.update(make_batch(1), 50)
    assert learner.learning_rate == 0


@pytest.mark.parametrize("xla", ["off", "on"])
def test_the_first_update_learns_from_what_is_normalised(xla):
    """Rewards and observations in the thousands: the first loss is of the size of the later ones."""
    settings = dict(normalise_observations=True, normalise_returns=True, xla=xla)
    learner = make_learner(**settings)
    norms = []
    for seed in range(4):
        batch = make_batch(seed)
        rows = batch.env_outputs
        reward = 1000 * rows.reward
        rows = rows._replace(reward=reward, discounted_return=reward, observation=5000 + 1000 * rows.observation)
        result = learner.update(batch._replace(env_outputs=rows), 10)
        norms.append(float(result.metrics[learner.metric_names.index("gradient_norm")]))
    assert norms[0] < 3 * max(norms[1:]), norms
    raw = make_learner(xla=xla).update(batch._replace(env_outputs=rows), 10)
    assert float(raw.metrics[learner.metric_names.index("gradient_norm")]) > 30 * norms[0]


def test_without_settings_that_normalise_there_are_no_statistics_to_update():
    assert not make_learner().agent.has_observation_statistics
    assert make_learner(normalise_observations=True).agent.has_observation_statistics


def test_each_batch_is_taken_into_the_statistics_once():
    """The first batch before its loss, later ones after theirs: the loss sees what the actors' statistics know."""
    learner = make_learner(normalise_observations=True)
    for updates in (1, 2, 3):
        before = learner.agent.statistics[0].numpy()
        learner.update(make_batch(updates), 10)
        assert learner.agent.statistics[2].numpy() == updates * 5 * 4, "rows 1 to T of 4 unrolls"
        assert learner.agent.statistics[0].numpy() != before


def test_replayed_unrolls_are_not_taken_into_the_statistics_again():
    """The two last of four unrolls are replayed: the same statistics as from the two first alone."""
    settings = dict(normalise_observations=True, normalise_returns=True)
    learner, other = make_learner(**settings), make_learner(**settings)
    batch = make_batch(3)
    rows = batch.env_outputs
    batch = batch._replace(env_outputs=rows._replace(discounted_return=rows.reward))
    learner.update(batch, 10, Marks(tf.constant([True, True, False, False]), tf.ones([4])))
    other.update(tf.nest.map_structure(lambda leaf: leaf[:1], batch), 10)
    for ours, theirs in zip(learner.agent.statistics, other.agent.statistics, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_loss_is_normalised_by_statistics_that_do_not_know_the_batch():
    """All but the first: the same update as with statistics that were fixed before it."""
    learner, other = make_learner(normalise_observations=True), make_learner(normalise_observations=True)
    for one in (learner, other):
        one.update(make_batch(0), 10)
    other._merge_observation_moments = lambda moments, condition: None
    other._call = None
    other._update = tf.function(other._update_graph, autograph=False)
    a, b = learner.update(make_batch(1), 10), other.update(make_batch(1), 10)
    np.testing.assert_allclose(a.metrics, b.metrics, rtol=1e-5)
    assert learner.agent.statistics[2].numpy() == 2 * other.agent.statistics[2].numpy()


def test_the_last_actions_that_the_learner_sees_are_those_that_led_to_its_rows():
    """A network that tells its last action: row 0 has the action before the unroll, row t that of row t - 1."""
    batch = join_groups(make_batch(0))._replace(last_action=tf.constant([2, 1, 0, 2], tf.int64))
    actions = last_actions(batch)
    assert actions.shape == [6, 4]
    np.testing.assert_array_equal(actions[0], [2, 1, 0, 2])
    np.testing.assert_array_equal(actions[1:], batch.actions)


def test_the_learners_network_says_what_the_actors_said():
    """A batch that was acted row by row by the learner's own weights, with an LSTM and last actions: ratios are 1."""
    learner = make_learner(core="lstm", core_size=4, use_last_action_and_reward=True)
    agent, batch = learner.agent, join_groups(make_batch(0))
    rows, state = batch.env_outputs, tf.random.stateless_normal([4, agent.state_size], [1, 2])
    core_state, last_action, parameters = state, tf.constant([2, 1, 0, 2], tf.int64), []
    for t in range(5):
        row = (rows.observation[t], rows.reward[t], last_action, rows.first[t], core_state)
        step = agent.step(*row, tf.constant([0, t]))
        parameters.append(step.parameters)
        last_action, core_state = batch.actions[t], step.core_state
    batch = batch._replace(
        behaviour_parameters=tf.stack(parameters), core_state=state, last_action=tf.constant([2, 1, 0, 2], tf.int64)
    )
    statistics = dict(zip(learner.metric_names, learner.update(in_groups(batch), 10).metrics.numpy(), strict=True))
    assert statistics["ratio_max"] == pytest.approx(1, abs=1e-5)
    assert statistics["ratio_min"] == pytest.approx(1, abs=1e-5)
