"""What is normalised by what: which rows count, what reaches the network, and how the statistics travel."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks import make_agent
from impala_tf.networks.normalisation import RunningMoments
from impala_tf.types import EnvOutput
from tests.support.distributions import SEED
from tests.support.networks import (
    agent_with_random_weights,
    frame_space,
    inputs_of_step,
    update_observation_statistics,
    update_return_statistics,
)

T, B = 3, 4
ACTIONS = gym.spaces.Discrete(2)
BOX = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)


def rows(observation, discounted_return=None, first=None):
    """[T + 1, B] rows; what no statistics read is left out."""
    zeros = np.zeros([T + 1, B], np.float32)
    returns = tf.constant(zeros if discounted_return is None else discounted_return, tf.float32)
    first = tf.constant(np.zeros([T + 1, B], bool) if first is None else first)
    return EnvOutput(None, None, None, first, tf.nest.map_structure(tf.constant, observation), None, None, returns)


def numbers(seed=0):
    return np.random.default_rng(seed).normal([3.0, -20.0], [0.5, 4.0], size=(T + 1, B, 2)).astype(np.float32)


def test_the_network_gets_normalised_numbers():
    """Rows 1 to T count, first rows too; the network sees (x - mean) / standard deviation, clipped to 10."""
    agent, _ = agent_with_random_weights(BOX, ACTIONS, normalise_observations=True)
    plain, _ = agent_with_random_weights(BOX, ACTIONS)
    x = numbers()
    small = x[0] / 10
    np.testing.assert_array_equal(*(a.step(*inputs_of_step(a, small), SEED).baseline for a in (agent, plain)))
    first = np.zeros([T + 1, B], bool)
    first[2] = True
    update_observation_statistics(agent, rows(x, first=first))
    counted = x[1:].reshape(-1, 2)
    mean, variance, count = agent.statistics
    np.testing.assert_allclose(mean, counted.mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, counted.var(0), rtol=1e-4)
    assert count == T * B
    shown = np.concatenate([x[1], [[1000.0, -20], [3, -1000]]]).astype(np.float32)
    normalised = np.clip((shown - counted.mean(0)) / counted.std(0), -10, 10).astype(np.float32)
    assert (np.abs(normalised) == 10).sum() == 2
    step = agent.step(*inputs_of_step(agent, shown), SEED)
    expected = plain.step(*inputs_of_step(plain, normalised), SEED)
    np.testing.assert_allclose(step.baseline, expected.baseline, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(step.parameters, expected.parameters, rtol=1e-3, atol=1e-4)


def test_only_numbers_are_normalised_each_by_its_own_moments():
    """Parts come in the order of their names; texts, discrete numbers, bits and frames stay as they are."""
    space = gym.spaces.Dict(
        a=gym.spaces.Discrete(2), b=BOX, c=frame_space((20, 20, 1), np.uint8), d=gym.spaces.Box(0, 1, (1,), np.float32),
        e=gym.spaces.MultiBinary(2),
    )  # fmt: skip
    agent, _ = agent_with_random_weights(space, ACTIONS, normalise_observations=True)
    assert [v.shape.as_list() for v in agent.statistics] == [[2], [2], [], [1], [1], []]
    x = numbers()
    observation = dict(
        a=np.zeros([T + 1, B], np.int64), b=x, c=np.zeros([T + 1, B, 20, 20, 1], np.uint8),
        d=np.full([T + 1, B, 1], 0.25, np.float32), e=np.zeros([T + 1, B, 2], np.int8),
    )  # fmt: skip
    update_observation_statistics(agent, rows(observation))
    np.testing.assert_allclose(agent.statistics[0], x[1:].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose([agent.statistics[3][0], agent.statistics[4][0]], [0.25, 0], atol=1e-6)


@pytest.mark.parametrize("network", ["shallow", "deep"])
def test_the_network_gets_centred_frames(network):
    """The mean is over the last row of every unroll; what is left of a frame is divided by 255."""
    shape = (20, 21, 2)
    settings = dict(network=network)
    agent, _ = agent_with_random_weights(frame_space(shape, np.uint8), ACTIONS, centre_frames=True, **settings)
    plain, _ = agent_with_random_weights(frame_space(shape, np.float32), ACTIONS, **settings)
    random = np.random.default_rng(1)
    frames = random.integers(256, size=(T + 1, B, *shape), dtype=np.uint8)
    more = random.integers(100, size=(T + 1, 1, *shape), dtype=np.uint8)
    for some in (frames, more):
        update_observation_statistics(agent, rows(some, first=np.zeros(some.shape[:2], bool)))
    counted = np.concatenate([frames[-1], more[-1]]).astype(np.float64)
    for mean, count in zip(agent.statistics[::2], agent.statistics[1::2], strict=True):
        np.testing.assert_allclose(mean, counted.mean(0), rtol=1e-4, atol=1e-3)
        assert count == B + 1
    centred = ((frames[0] - counted.mean(0)) / 255).astype(np.float32)
    step = agent.step(*inputs_of_step(agent, frames[0]), SEED)
    expected = plain.step(*inputs_of_step(plain, centred), SEED)
    np.testing.assert_allclose(step.baseline, expected.baseline, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(step.parameters, expected.parameters, rtol=1e-3, atol=1e-3)


def test_returns_are_counted_for_their_task():
    """Rows 1 to T count, except first rows; rewards are multiplied by 1 / standard deviation."""
    agent, _ = agent_with_random_weights(BOX, ACTIONS, num_tasks=3, normalise_returns=True)
    returns = np.random.default_rng(0).normal(size=(T + 1, B)).astype(np.float32) * [1, 10, 1, 10]
    returns[0] = 1e6
    first = np.zeros([T + 1, B], bool)
    first[2, 0] = first[3, 1] = True
    returns[first] = -1e6
    task = np.array([2, 0, 2, 0], np.int32)
    assert agent.reward_scale(tf.constant(task)).numpy().tolist() == [1, 1, 1, 1]
    update_return_statistics(agent, rows(numbers(), returns, first), tf.constant(task))
    valid = ~first[1:]
    of_0, of_2 = (returns[1:][valid & (task == i)] for i in (0, 2))
    mean, _, count = agent.statistics
    assert count.numpy().tolist() == [2 * T - 1, 0, 2 * T - 1]
    np.testing.assert_allclose(mean, [of_0.mean(), 0, of_2.mean()], rtol=1e-4)
    scale = agent.reward_scale(tf.constant([0, 1, 2, 2])).numpy()
    np.testing.assert_allclose(scale, [1 / of_0.std(), 1, 1 / of_2.std(), 1 / of_2.std()], rtol=1e-4)


def test_each_kind_of_statistics_is_updated_by_itself():
    settings = dict(normalise_observations=True, normalise_returns=True)
    agent, _ = agent_with_random_weights(BOX, ACTIONS, **settings)
    some = rows(numbers(), np.random.default_rng(0).normal(size=(T + 1, B)))
    before = [v.numpy() for v in agent.statistics]
    update_return_statistics(agent, some, tf.zeros([B], tf.int32))
    changed = [np.any(a != b.numpy()) for a, b in zip(before, agent.statistics, strict=True)]
    assert changed == [False] * 3 + [True] * 3
    before = [v.numpy() for v in agent.statistics]
    update_observation_statistics(agent, some)
    changed = [np.any(a != b.numpy()) for a, b in zip(before, agent.statistics, strict=True)]
    assert changed == [True] * 3 + [False] * 3


def test_without_these_settings_nothing_is_kept():
    agent, _ = agent_with_random_weights(BOX, ACTIONS)
    update_return_statistics(agent, rows(numbers()), tf.zeros([B], tf.int32))
    update_observation_statistics(agent, rows(numbers()))
    assert agent.statistics == []
    assert agent.reward_scale(tf.zeros([B], tf.int32)) == 1.0


def test_statistics_travel_with_the_weights():
    space = gym.spaces.Dict(x=BOX, frame=frame_space((20, 20, 1), np.uint8))
    settings = dict(normalise_observations=True, normalise_returns=True, centre_frames=True)
    one, other = (agent_with_random_weights(space, ACTIONS, seed=seed, **settings)[0] for seed in (1, 2))
    frames = np.random.default_rng(1).integers(256, size=(T + 1, B, 20, 20, 1), dtype=np.uint8)
    some = rows(dict(x=numbers(), frame=frames), np.random.default_rng(0).normal(size=(T + 1, B)))
    update_observation_statistics(one, some)
    update_return_statistics(one, some, tf.zeros([B], tf.int32))
    assert len(one.statistics) == 3 + 3 + 4
    other.assign_flat_weights(one.flat_weights())
    for a, b in zip(one.statistics, other.statistics, strict=True):
        assert np.any(a != 0)
        np.testing.assert_array_equal(a, b)
    inputs = inputs_of_step(one, dict(x=numbers()[0], frame=frames[0]))
    np.testing.assert_array_equal(one.step(*inputs, SEED).baseline, other.step(*inputs, SEED).baseline)
    task = tf.zeros([1], tf.int32)
    np.testing.assert_array_equal(one.reward_scale(task), other.reward_scale(task))
    assert one.reward_scale(task) != 1


def test_wrong_inputs_of_moments_are_named():
    moments = RunningMoments((2,), "test")
    with pytest.raises(ValueError, match=r"values must have shape \(None, 2\), got \(5, 1\)"):
        moments.update(tf.zeros([5, 1]), tf.ones([5], tf.bool))
    with pytest.raises(ValueError, match="valid must be bool, got float32"):
        moments.update(tf.zeros([5, 2]), tf.ones([5]))
    with pytest.raises(ValueError, match=r"valid must have shape \(5,\), got \(4,\)"):
        moments.update(tf.zeros([5, 2]), tf.ones([4], tf.bool))
    with pytest.raises(ValueError, match=r"values must have shape \(None, 2\), got \(2,\)"):
        moments.normalise(tf.zeros([2]))
    by_entry = RunningMoments((3, 2), "test", (3,))
    with pytest.raises(ValueError, match=r"valid must have shape \(5, 3\), got \(5,\)"):
        by_entry.update(tf.zeros([5, 3, 2]), tf.ones([5], tf.bool))


def test_running_moments_are_those_of_all_values():
    random = np.random.default_rng(0)
    values = random.normal(5.0, 3.0, size=(7, 40, 2)).astype(np.float32)
    counts = random.random((7, 40)) < 0.7
    moments = RunningMoments((2,), "test")
    for i in range(7):
        moments.update(tf.constant(values[i]), tf.constant(counts[i]))
    moments.update(tf.constant(values[0]), tf.zeros([40], tf.bool))  # Nothing counts: nothing changes.
    mean, variance, count = (v.numpy() for v in moments.variables)
    np.testing.assert_allclose(mean, values[counts].mean(0), rtol=1e-5)
    np.testing.assert_allclose(variance, values[counts].var(0), rtol=1e-4)
    assert count == counts.sum()
    normalised = moments.normalise(tf.constant(values[counts])).numpy()
    np.testing.assert_allclose(normalised.std(0), 1, rtol=1e-3)
    assert moments.normalise(tf.constant([[1e9, -1e9]])).numpy().tolist() == [[10, -10]]


def test_what_has_never_varied_is_not_scaled():
    """Returns are all 0 before the first reward; that reward is not to be multiplied by 10,000."""
    moments = RunningMoments((2,), "test")
    moments.update(tf.constant([[0.0, 1.0], [0.0, 5.0]]), tf.ones([2], tf.bool))
    np.testing.assert_allclose(moments.scale(), [1, 0.5])


def test_running_moments_that_count_each_entry():
    random = np.random.default_rng(0)
    values = random.normal(5.0, 3.0, size=(40, 1)).astype(np.float32)
    counts = random.random((40, 3)) < [0.7, 0.2, 0.0]
    moments = RunningMoments((3,), "test", (3,))
    for part in range(4):
        rows = slice(10 * part, 10 * part + 10)
        moments.update(tf.repeat(values[rows], 3, axis=1), tf.constant(counts[rows]))
    mean, variance, count = (v.numpy() for v in moments.variables)
    for i in range(2):
        of_entry = values[counts[:, i], 0]
        np.testing.assert_allclose([mean[i], variance[i]], [of_entry.mean(), of_entry.var()], rtol=1e-4)
    assert [mean[2], variance[2]] == [0, 1], "nothing was shown to it"
    assert count.tolist() == counts.sum(0).tolist()


def test_a_small_spread_is_stretched_up_to_a_factor_of_10_000():
    moments = RunningMoments((2,), "test")
    moments.update(tf.constant([[0.0, 0.0], [2e-3, 2e-6]]), tf.ones([2], tf.bool))
    np.testing.assert_allclose(moments.scale(), [1e3, 1e4], rtol=1e-3)


def test_planes_of_bits_are_not_centred():
    planes = frame_space((10, 10, 3), np.bool_)
    agent, _ = agent_with_random_weights(planes, ACTIONS, centre_frames=True)
    assert agent.statistics == []


@pytest.mark.parametrize(("normalise", "expected"), [(False, False), (True, True)])
def test_an_agent_knows_whether_it_normalises_observations(normalise, expected):
    config = Config(normalise_observations=normalise)
    agent = make_agent(config, gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2))
    assert agent.has_observation_statistics == expected
