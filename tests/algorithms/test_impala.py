from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms.impala import Impala
from impala_tf.algorithms.transitions import clip_rewards
from impala_tf.config import Config
from impala_tf.spaces import distributions
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))


def learner_outputs(seed=1):
    random = np.random.default_rng(seed)
    parameters = tf.constant(random.normal(size=(T + 1, B, A)), tf.float32)
    return parameters, tf.constant(random.normal(size=(T + 1, B)), tf.float32)


def loss(unroll, outputs, config=None):
    """IMPALA's total and metrics with the settings of `config`."""
    config = config or Config()
    found = Impala.from_config(config).loss(loss_inputs(unroll, outputs, DISTRIBUTION, config))
    return SimpleNamespace(total=found.total, **found.metrics)


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def test_the_loss_and_its_gradients_follow_the_equations():
    """Section 4.2 in float64 numpy: targets by the recursion, gradients written down by hand."""
    config = Config(entropy_cost=0.07, baseline_cost=0.6, discounting=0.9)
    unroll, (parameters, baselines) = make_unroll(), learner_outputs()
    with tf.GradientTape() as tape:
        tape.watch([parameters, baselines])
        got = loss(unroll, (parameters, baselines), config)
    parameters_gradient, baselines_gradient = tape.gradient(got.total, [parameters, baselines])

    rows = unroll.env_outputs
    actions = unroll.actions.numpy()
    pi, mu = softmax(parameters.numpy()[:-1].astype(np.float64)), softmax(unroll.behaviour_parameters.numpy())
    pick = np.eye(A)[actions]
    ratios = (pi * pick).sum(-1) / (mu * pick).sum(-1)
    valid = ~rows.first.numpy()[1:]
    assert (ratios[valid] > 1).any()
    assert (ratios[valid] < 1).any()
    assert not valid.all()
    discounts = 0.9 * ~rows.terminated.numpy()[1:]
    rewards, v = rows.reward.numpy()[1:], baselines.numpy().astype(np.float64)
    clipped = np.minimum(ratios, 1)
    vs = v.copy()  # vs_T = V_T
    for t in reversed(range(T)):
        delta = clipped[t] * (rewards[t] + discounts[t] * v[t + 1] - v[t])
        vs[t] = v[t] + valid[t] * (delta + discounts[t] * clipped[t] * (vs[t + 1] - v[t + 1]))
    advantages = valid * clipped * (rewards + discounts * vs[1:] - v[:-1])

    log_pi = np.log(pi)
    entropies = -(pi * log_pi).sum(-1)
    np.testing.assert_allclose(got.policy_gradient, -((log_pi * pick).sum(-1) * advantages).sum(), rtol=1e-4)
    np.testing.assert_allclose(got.baseline, 0.6 * (valid * 0.5 * (vs - v)[:-1] ** 2).sum(), rtol=1e-4)
    np.testing.assert_allclose(got.entropy, -0.07 * (valid * entropies).sum(), rtol=1e-4)
    np.testing.assert_allclose(got.total, got.policy_gradient + got.baseline + got.entropy, rtol=1e-6)

    # d(-log pi(a) A)/d logits = (pi - one_hot(a)) A; dH/d logits_i = -pi_i (log pi_i + H).
    expected = (pi - pick) * advantages[..., None]
    expected += 0.07 * valid[..., None] * pi * (log_pi + entropies[..., None])
    np.testing.assert_allclose(parameters_gradient[:-1], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(baselines_gradient[:-1], 0.6 * valid * (v - vs)[:-1], rtol=1e-3, atol=1e-5)
    # Row T only bootstraps.
    np.testing.assert_array_equal(parameters_gradient[-1], 0)
    np.testing.assert_array_equal(baselines_gradient[-1], 0)

    np.testing.assert_allclose(got.mean_entropy, entropies[valid].mean(), rtol=1e-4)
    np.testing.assert_allclose(got.ratio_mean, ratios[valid].mean(), rtol=1e-4)
    np.testing.assert_allclose(got.ratio_max, ratios[valid].max(), rtol=1e-4)
    np.testing.assert_allclose(got.ratio_min, ratios[valid].min(), rtol=1e-4)
    np.testing.assert_allclose(got.ratio_clipped_fraction, (ratios[valid] > 1).mean(), rtol=1e-6)


def test_reset_steps_teach_nothing():
    """Whatever was chosen in the steps that the environments spent on a reset, the loss is the same."""
    unroll, outputs = make_unroll(), learner_outputs()
    reset = unroll.env_outputs.first[1:]
    other = tf.where(reset, (unroll.actions + 1) % A, unroll.actions)
    assert np.any(other != unroll.actions)
    before = loss(unroll, outputs)
    after = loss(unroll._replace(actions=other), outputs)
    for name, value in vars(before).items():
        np.testing.assert_array_equal(value, getattr(after, name), err_msg=name)


@pytest.mark.parametrize(("terminated", "target"), [(True, 1.0), (False, 1.0 + 0.9 * 7.0)])
def test_time_limits_bootstrap_and_terminations_do_not(terminated, target):
    """One step with reward 1 into a last row with V = 7, on-policy, V = 0 before it: the loss shows the target."""
    unroll, (parameters, _) = make_unroll(), learner_outputs()
    rows = unroll.env_outputs._replace(
        reward=tf.ones([2, 1]),
        terminated=tf.constant([[False], [terminated]]),
        truncated=tf.constant([[False], [not terminated]]),
        first=tf.constant([[False], [False]]),
    )
    one_step = unroll._replace(
        env_outputs=rows, actions=unroll.actions[:1, :1], behaviour_parameters=parameters[:1, :1], task=unroll.task[:1]
    )
    config = Config(discounting=0.9, baseline_cost=1.0)
    got = loss(one_step, (parameters[:2, :1], tf.constant([[0.0], [7.0]])), config)
    np.testing.assert_allclose(got.baseline, 0.5 * target**2, rtol=1e-5)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("none", [-10, -0.5, 0, 0.5, 10]),
        ("abs_one", [-1, -0.5, 0, 0.5, 1]),
        # google-deepmind/scalable_agent: squeezed = tanh(r / 5); where(r < 0, .3 * squeezed, squeezed) * 5.
        ("soft_asymmetric", [1.5 * np.tanh(-2), 1.5 * np.tanh(-0.1), 0, 5 * np.tanh(0.1), 5 * np.tanh(2)]),
    ],
)
def test_reward_clipping(how, expected):
    clipped = clip_rewards(tf.constant([-10, -0.5, 0, 0.5, 10]), how)
    np.testing.assert_allclose(clipped, expected, rtol=1e-6)


def test_clipping_happens_in_the_loss():
    unroll, outputs = make_unroll(), learner_outputs()
    assert np.abs(unroll.env_outputs.reward[1:]).max() > 1
    clipped = unroll._replace(
        env_outputs=unroll.env_outputs._replace(reward=tf.clip_by_value(unroll.env_outputs.reward, -1, 1))
    )
    a = loss(unroll, outputs, Config(reward_clipping="abs_one"))
    b = loss(clipped, outputs)
    np.testing.assert_allclose(a.total, b.total, rtol=1e-6)
