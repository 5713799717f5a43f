"""PopArt: moments of the targets of each task, values that do not move, and the losses that it stands for."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks import make_agent
from impala_tf.networks.moments import only_own
from impala_tf.networks.popart import MAX_SCALE, MIN_SCALE, PopArt
from impala_tf.types import EnvOutput
from tests.support.networks import agent_with_random_weights, inputs_of_step

BOX, ACTIONS = gym.spaces.Box(-np.inf, np.inf, (3,), np.float32), gym.spaces.Discrete(2)
T, B, K = 20, 6, 3
TASK = np.array([2, 0, 2, 0, 0, 2], np.int32)  # None is of task 1.
MEANS, SCALES = np.array([300.0, 0.0, -5.0]), np.array([40.0, 1.0, 0.02])
SEED = tf.constant([1, 2])


def popart_agent(num_tasks=K, **settings):
    return agent_with_random_weights(BOX, ACTIONS, num_tasks=num_tasks, popart=True, **settings)[0]


def targets(seed, means=MEANS, scales=SCALES):
    return (np.random.default_rng(seed).normal(size=(T, B)) * scales[TASK] + means[TASK]).astype(np.float32)


def rows_with(first=None):
    zeros = np.zeros([T + 1, B], np.float32)
    first = np.zeros([T + 1, B], bool) if first is None else first
    return EnvOutput(zeros, first, first, first, zeros, zeros, zeros, zeros)


def update(agent, unnormalised, rows=None):
    """Gives the agent targets as the learner does, in units of its scale."""
    task = tf.constant(TASK)
    scaled = tf.constant(unnormalised) * agent.value_scale(task)
    agent.merge_value_moments(only_own(agent.value_moments(scaled, rows or rows_with(), task)))


def values_of(agent, observation):
    """The values of all tasks, [N, K]."""
    return agent.step(*inputs_of_step(agent, observation), SEED).baseline.numpy()


def test_no_value_moves_when_the_statistics_change():
    """Statistics of very different size, step by step; each output of the head does move."""
    agent = popart_agent(popart_step=0.01)
    observation = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = values_of(agent, observation)
    assert expected.std(axis=0).min() > 0.1
    kernel = agent.variables[-2].numpy()
    for seed in range(10):
        update(agent, targets(seed))
        np.testing.assert_allclose(values_of(agent, observation), expected, atol=1e-3)
    ratio = agent.variables[-2].numpy() / kernel
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0], ratio.shape), rtol=1e-4)
    assert ratio[0, 0] < 0.05
    assert ratio[0, 1] == 1
    assert ratio[0, 2] > 3


def test_statistics_become_the_moments_of_each_tasks_targets():
    """Invalid steps do not count, and a task without targets keeps its start."""
    agent = popart_agent(popart_step=0.001)
    first = np.zeros([T + 1, B], bool)
    first[5, 0] = first[7, 2] = True
    for seed in range(300):
        batch = targets(seed)
        batch[first[1:]] = 1e6
        update(agent, batch, rows_with(first))
    mean, variance = (v.numpy() for v in agent.statistics)
    assert np.all(np.abs(mean - MEANS) < 0.1 * SCALES)
    np.testing.assert_allclose(np.sqrt(variance), SCALES, rtol=0.1)
    assert (mean[1], variance[1]) == (0, 1)
    task = tf.constant(TASK)
    np.testing.assert_allclose(agent.reward_scale(task), 1 / SCALES[TASK], rtol=0.1)
    np.testing.assert_array_equal(agent.reward_scale(task), agent.value_scale(task))


def test_an_update_is_a_moving_average_of_both_moments():
    """mu and nu as in the paper, with the weight that n targets one after the other have together."""
    agent, step = popart_agent(num_tasks=K, popart_step=0.02), 0.02
    first_moment, second_moment = np.zeros(K), np.ones(K)
    for seed in range(4):
        batch = targets(seed, MEANS / 100, SCALES + 1)
        update(agent, batch)
        for k in (0, 2):
            own = batch[:, k == TASK].astype(np.float64)
            share = 1 - (1 - step) ** own.size
            first_moment[k] += share * (own.mean() - first_moment[k])
            second_moment[k] += share * ((own**2).mean() - second_moment[k])
        mean, variance = agent.statistics
        np.testing.assert_allclose(mean, first_moment, rtol=1e-4)
        np.testing.assert_allclose(variance, second_moment - first_moment**2, rtol=1e-4)


@pytest.mark.parametrize(("value", "bound"), [(0.0, MIN_SCALE), (1e8, MAX_SCALE)])
def test_the_scale_is_bounded(value, bound):
    popart, head = PopArt(1, 0.1), tf.keras.layers.Dense(1)
    head.build([None, 2])
    batch = value * np.where(np.arange(T * B) % 2, 1, -1).reshape(T, B)
    for _ in range(30):
        given = tf.constant(batch, tf.float32), tf.ones([T, B], tf.bool), tf.zeros([B], tf.int32)
        popart.merge(head, only_own(popart.moments_of(*given)))
    np.testing.assert_allclose(popart.sigma(), [bound], rtol=1e-5)


def test_the_learner_sees_the_value_of_each_environments_task():
    agent = popart_agent(core="lstm", core_size=4)
    update(agent, targets(0))
    random = np.random.default_rng(0)
    observation = tf.constant(random.normal(size=(2, B, 3)), tf.float32)
    state = tf.constant(random.normal(size=(B, agent.state_size)), tf.float32)
    nothing = tf.zeros([2, B]), tf.zeros([2, B], tf.int64), tf.zeros([2, B], tf.bool)
    _, baselines = agent.unroll(observation, *nothing, state, tf.constant(TASK))
    step = agent.step(observation[0], *(x[0] for x in nothing), state, SEED)
    assert step.baseline.shape == [B, K]
    np.testing.assert_allclose(baselines[0], step.baseline.numpy()[np.arange(B), TASK], rtol=1e-4)
    with pytest.raises(ValueError, match="None"):
        agent.unroll(observation, *nothing, state)


def test_statistics_travel_with_the_weights():
    one, other = popart_agent(), popart_agent(seed=2)
    update(one, targets(0))
    other.assign_flat_weights(one.flat_weights())
    observation = np.ones([2, 3], np.float32)
    np.testing.assert_array_equal(values_of(one, observation), values_of(other, observation))
    third = popart_agent(seed=3)
    with third.with_flat_weights(one.flat_weights()):
        inside = values_of(third, observation)
    np.testing.assert_allclose(inside, values_of(one, observation), rtol=1e-6)


def test_one_task_has_one_value_and_starts_like_a_network_without_popart():
    plain, agent = (make_agent(Config(popart=popart), BOX, ACTIONS) for popart in (False, True))
    observation = np.ones([2, 3], np.float32)
    assert values_of(agent, observation).shape == (2,)
    np.testing.assert_array_equal(values_of(agent, observation), values_of(plain, observation))
    assert len(agent.value_moments(tf.zeros([T, B]), rows_with(), tf.zeros([B], tf.int32))) == 1
    assert plain.value_moments(tf.zeros([T, B]), rows_with(), tf.zeros([B], tf.int32)) == []
    assert plain.value_scale(tf.zeros([B], tf.int32)) == 1.0
