"""Policy and baseline, computed by hand: which features each head gets, last action and reward, masks."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks import make_agent
from impala_tf.spaces import distributions
from tests.support.distributions import SEED, random_parameters
from tests.support.networks import agent_with_random_weights, inputs_of_step

BOX = gym.spaces.Box(-1, 1, (4,), np.float32)
ACTIONS = gym.spaces.Discrete(3, start=1)
REWARD = [0.5, -7.0, 7.0, 0.5, -7.0]
LAST_ACTION = [1, 2, 3, 3, 2]
FIRST = [False, False, False, True, True]


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("use_last", [False, True])
def test_policy_and_baseline_by_hand(separate, use_last):
    """Rewards are clipped at 1, and first rows have neither a last reward nor a last action."""
    settings = dict(separate_value_network=separate, use_last_action_and_reward=use_last)
    agent, weights = agent_with_random_weights(BOX, ACTIONS, **settings)
    x = np.random.default_rng(2).normal(size=(5, 4)).astype(np.float32)
    step = agent.step(*inputs_of_step(agent, x, REWARD, LAST_ACTION, FIRST), SEED)
    last_step = np.array([[0.5, 1, 0, 0], [-1, 0, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])

    def features(kernel, bias):
        return np.concatenate([np.tanh(x @ kernel + bias), *([last_step] if use_last else [])], axis=1)

    policy_kernel, policy_bias, baseline_kernel, baseline_bias = weights[-4:]
    of_policy = features(*weights[:2])
    of_baseline = features(*weights[2:4]) if separate else of_policy
    np.testing.assert_allclose(step.parameters, of_policy @ policy_kernel + policy_bias, rtol=1e-4, atol=1e-5)
    expected = (of_baseline @ baseline_kernel + baseline_bias)[:, 0]
    np.testing.assert_allclose(step.baseline, expected, rtol=1e-4, atol=1e-5)


def test_the_initial_scale_of_the_policy_head():
    """--policy_init_scale multiplies the policy's initial weights and nothing else; all seeds differ."""
    small, paper = (make_agent(Config(policy_init_scale=scale), BOX, ACTIONS) for scale in (0.01, 1.0))
    *torsos, policy, policy_bias, baseline, _ = [v.numpy() for v in paper.variables]
    *same, scaled, _, _, _ = [v.numpy() for v in small.variables]
    np.testing.assert_allclose(scaled, 0.01 * policy, rtol=1e-5)
    for a, b in zip(same, torsos, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(small.variables[-2], baseline)
    assert not policy_bias.any()
    np.testing.assert_allclose(policy.std(), 0.88 / 8, rtol=0.15)  # 64 features.
    assert np.abs(baseline).max() <= 2 / 8
    assert np.abs(baseline).max() > 0.1
    assert np.any(torsos[0] != torsos[4]), "the two torsos begin alike"


def test_no_two_parts_of_a_network_begin_alike():
    """Heads, cores of two trunks, and torsos of two parts of an observation."""
    alone = make_agent(Config(policy_init_scale=1.0), BOX, gym.spaces.Discrete(1))
    assert np.any(alone.variables[-4].numpy() != alone.variables[-2].numpy())
    parts = gym.spaces.Dict(x=BOX, y=BOX)
    agent = make_agent(Config(core="lstm", core_size=3, hidden_sizes=(5,)), parts, ACTIONS)
    weights = [v.numpy() for v in agent.variables]
    matrices = [w for w in weights if w.ndim == 2]
    assert len(matrices) == 2 * (2 + 2) + 2
    for i, one in enumerate(matrices):
        assert not any(one.shape == other.shape and np.all(one == other) for other in matrices[:i])


def test_discrete_observations_are_one_hot():
    """Numbers count from the start of their space."""
    space = gym.spaces.Tuple([gym.spaces.Discrete(3, start=2), gym.spaces.MultiDiscrete([2, 3], start=[0, -1])])
    agent, weights = agent_with_random_weights(space, ACTIONS, separate_value_network=False)
    step = agent.step(*inputs_of_step(agent, (np.array([2, 4]), np.array([[1, -1], [0, 1]]))), SEED)
    encoded = np.array([[1, 0, 0], [0, 0, 1]]), np.array([[0, 1, 1, 0, 0], [1, 0, 0, 0, 1]])
    features = [np.tanh(x @ w + b) for x, w, b in zip(encoded, weights[:4:2], weights[1:4:2], strict=True)]
    kernel, bias = weights[-4:-2]
    np.testing.assert_allclose(step.parameters, np.concatenate(features, 1) @ kernel + bias, rtol=1e-4, atol=1e-5)


def test_free_parameters_begin_at_zero():
    """They are the last weights, and the last parameters of every row."""
    agent = make_agent(Config(), BOX, gym.spaces.Box(-1, 1, (2,), np.float32))
    assert agent.variables[-1].numpy().tolist() == [0, 0]
    agent.variables[-1].assign([1.0, -1.0])
    step = agent.step(*inputs_of_step(agent, np.ones([3, 4], np.float32)), SEED)
    np.testing.assert_array_equal(step.parameters[:, 2:], [[1, -1]] * 3)


def test_another_seed_draws_other_weights_in_every_layer():
    one, other = (make_agent(Config(seed=seed, core="gru", core_size=3), BOX, ACTIONS) for seed in (1, 2))
    for a, b in zip(one.variables, other.variables, strict=True):
        assert not np.any(a) or np.any(a.numpy() != b.numpy())


def test_masks_reach_the_policy_and_nothing_else():
    space = gym.spaces.Dict(action_mask=gym.spaces.MultiBinary(3), x=BOX)
    agent, _ = agent_with_random_weights(space, ACTIONS)
    plain, _ = agent_with_random_weights(BOX, ACTIONS)
    x = np.random.default_rng(2).normal(size=(4, 4)).astype(np.float32)
    mask = np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]], np.int8)
    inputs = inputs_of_step(agent, dict(action_mask=mask, x=x))
    step, expected = agent.step(*inputs, SEED), plain.step(*inputs_of_step(plain, x), SEED)
    np.testing.assert_array_equal(step.baseline, expected.baseline)
    parameters = np.where([[1, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 1]], expected.parameters, -1e9)
    np.testing.assert_array_equal(step.parameters, parameters)
    assert step.action[2] == 3
    *rows, state = inputs
    unrolled, _ = agent.unroll(*tf.nest.map_structure(lambda a: tf.stack([a, a[::-1]]), rows), state)
    np.testing.assert_allclose(unrolled[0], parameters, rtol=1e-5)
    np.testing.assert_allclose(unrolled[1], parameters[::-1], rtol=1e-5)


def test_wrong_inputs_are_named():
    space = gym.spaces.Dict(x=BOX, y=gym.spaces.Discrete(2))
    agent = make_agent(Config(core="lstm", core_size=3), space, ACTIONS)
    observation = dict(x=np.zeros([2, 4], np.float32), y=np.zeros(2, np.int64))
    inputs = inputs_of_step(agent, observation)
    agent.step(*inputs, SEED)
    wrong = [
        (
            0,
            dict(x=tf.zeros([2, 5]), y=tf.zeros([2], tf.int64)),
            r"observation x must have shape \(2, 4\), got \(2, 5\)",
        ),
        (0, dict(x=tf.zeros([2, 4]), y=tf.zeros([2], tf.int32)), "observation y must be int64, got int32"),
        (1, tf.zeros([3]), r"reward must have shape \(2,\), got \(3,\)"),
        (1, tf.zeros([2], tf.float64), "reward must be float32, got float64"),
        (2, tf.zeros([2, 1], tf.int64), r"last_action must have shape \(2,\), got \(2, 1\)"),
        (2, tf.zeros([2], tf.int32), "last_action must be int64, got int32"),
        (3, tf.zeros([2]), "first must be bool, got float32"),
        (4, tf.zeros([2, 6]), r"core_state must have shape \(2, 12\), got \(2, 6\)"),
    ]
    for place, tensor, message in wrong:
        given = [*inputs[:place], tensor, *inputs[place + 1 :]]
        with pytest.raises(ValueError, match=f"^{message}"):
            agent.step(*given, SEED)
        given = [tf.nest.map_structure(lambda a: a[tf.newaxis], x) if i < 4 else x for i, x in enumerate(given)]
        with pytest.raises(ValueError, match=f"^{message[:12]}"):
            agent.unroll(*given)
    with pytest.raises(ValueError, match="seed must have shape"):
        agent.step(*inputs, tf.zeros([3], tf.int32))


def test_the_state_before_an_episode_is_zeros():
    agent = make_agent(Config(core="lstm", core_size=3), BOX, ACTIONS)
    np.testing.assert_array_equal(agent.initial_state(2), np.zeros([2, 12]))


def test_settings_of_box_actions_reach_the_distribution():
    settings = dict(action_bounds="tanh", action_scale="predicted", action_scale_init=0.2)
    box = gym.spaces.Box(-1, 1, (2,), np.float32)
    distribution = make_agent(Config(**settings), BOX, box).distribution
    wanted = distributions.for_space(box, **settings)
    assert distribution.num_free_parameters == 0
    parameters = random_parameters(wanted, 5)
    np.testing.assert_array_equal(distribution.entropy(parameters), wanted.entropy(parameters))
