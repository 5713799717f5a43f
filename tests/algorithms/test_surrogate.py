"""IMPACT and PPO: the clipped surrogate, its references, and what they need."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config
from impala_tf.spaces import distributions
from impala_tf.types import Marks, Needs, NetworkOutputs
from tests.support.unrolls import A, B, T, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))


def outputs(seed, scale=1.0):
    random = np.random.default_rng(seed)
    parameters = tf.constant(random.normal(size=(T + 1, B, A)) * scale, tf.float32)
    return NetworkOutputs(parameters, tf.constant(random.normal(size=(T + 1, B)), tf.float32))


def log_softmax(x):
    x = np.asarray(x, np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def generalised_advantages(rows, values, rho, c, discounting, lambda_):
    """The recursion of V-trace in float64, as vs - V."""
    valid, discounts = ~rows.first.numpy()[1:], discounting * ~rows.terminated.numpy()[1:]
    rewards, values = rows.reward.numpy()[1:].astype(np.float64), np.asarray(values, np.float64)
    advantages = np.zeros((T + 1, B))
    for t in reversed(range(T)):
        delta = rho[t] * (rewards[t] + discounts[t] * values[t + 1] - values[t])
        advantages[t] = valid[t] * (delta + discounts[t] * lambda_ * c[t] * advantages[t + 1])
    return advantages[:-1], valid


@pytest.mark.parametrize("algorithm", ["impact", "ppo"])
def test_the_loss_and_its_gradient_follow_the_equations(algorithm):
    config = Config(
        algorithm=algorithm, discounting=0.9, vtrace_lambda=0.8, entropy_cost=0.0, kl_cost=0.3, clip_ratio=0.3
    )
    unroll, learner, target = make_unroll(), outputs(1), outputs(2)
    given = target if algorithm == "impact" else None
    with tf.GradientTape() as tape:
        tape.watch(learner.parameters)
        got = make_algorithm(config).loss(loss_inputs(unroll, learner, DISTRIBUTION, config, target=given))
    gradient = tape.gradient(got.total, learner.parameters)[:-1].numpy()

    pick = np.eye(A)[unroll.actions.numpy()]
    log_pi, log_mu = log_softmax(learner.parameters)[:-1], log_softmax(unroll.behaviour_parameters)
    log_target = log_softmax(target.parameters)[:-1]
    pi, mu, targets = (np.exp((x * pick).sum(-1)) for x in (log_pi, log_mu, log_target))
    rho = np.minimum(1, targets / mu) if algorithm == "impact" else np.ones((T, B))
    advantages, valid = generalised_advantages(unroll.env_outputs, learner.baselines, rho, rho, 0.9, 0.8)
    ratio = pi / (np.maximum(targets, 0.5 * mu) if algorithm == "impact" else mu)
    clipped = np.clip(ratio, 0.7, 1.3)
    surrogate = np.minimum(ratio * advantages, clipped * advantages)
    log_kept = log_target if algorithm == "impact" else log_mu
    kl = (np.exp(log_kept) * (log_kept - log_pi)).sum(-1)
    np.testing.assert_allclose(got.advantage_tm1, advantages, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.metrics["kl"], kl[valid].mean(), rtol=1e-4)
    np.testing.assert_allclose(got.metrics["policy_gradient"], (valid * (0.3 * kl - surrogate)).sum(), rtol=1e-4)
    outside = (ratio < 0.7) | (ratio > 1.3)
    np.testing.assert_allclose(got.metrics["surrogate_clipped_fraction"], outside[valid].mean(), rtol=1e-5)

    # The policy moves only where the clip does not hold it; d log pi(a) / d logits = one_hot(a) - pi.
    moves = ratio * advantages <= clipped * advantages
    for above in (True, False):  # Both sides of the clip are met with both signs of the advantage.
        side = valid & (ratio > 1.3 if above else ratio < 0.7)
        assert {*moves[side]} == {True, False}
    expected = -(valid * moves * ratio * advantages)[..., None] * (pick - np.exp(log_pi))
    expected += 0.3 * valid[..., None] * (np.exp(log_pi) - np.exp(log_kept))
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-5)
    if algorithm == "impact":
        assert {*(targets > 0.5 * mu)[valid]} == {True, False}, "both halves of max(target, beta mu) occur"


@pytest.mark.parametrize("algorithm", ["impala", "impact", "ppo"])
@pytest.mark.parametrize("trust_region", [np.inf, 0.8])
def test_a_time_limit_inside_an_unroll_equals_its_two_halves(algorithm, trust_region):
    """Rows 0-2 end by a time limit, step 2 is spent on the reset, and rows 3-5 are a new episode.

    Two of the unrolls are replayed, with importance weights.
    """
    config = Config(algorithm=algorithm, discounting=0.9, entropy_cost=0.1, kl_cost=0.2, trust_region=trust_region)
    unroll, learner, target = make_unroll(), outputs(1), outputs(2)
    rows = unroll.env_outputs._replace(
        terminated=tf.zeros([T + 1, B], tf.bool),
        truncated=tf.constant(np.arange(T + 1) == 2)[:, None] & tf.ones([1, B], tf.bool),
        first=tf.constant(np.arange(T + 1) == 3)[:, None] & tf.ones([1, B], tf.bool),
    )

    def loss(start, end):
        """Row `end` bootstraps."""
        part = unroll._replace(
            env_outputs=tf.nest.map_structure(lambda x: x[start : end + 1], rows),
            actions=unroll.actions[start:end],
            behaviour_parameters=unroll.behaviour_parameters[start:end],
        )
        networks = [NetworkOutputs(*(x[start : end + 1] for x in network)) for network in (learner, target)]
        marks = Marks(tf.constant([True, True, False, False]), tf.constant([1.0, 1.0, 0.25, 0.5]))
        inputs = loss_inputs(part, networks[0], DISTRIBUTION, config, target=networks[1], marks=marks)
        return make_algorithm(config).loss(inputs)

    whole, first, second = loss(0, T), loss(0, 2), loss(3, T)
    np.testing.assert_allclose(whole.advantage_tm1[:2], first.advantage_tm1, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole.advantage_tm1[2], np.zeros(B))
    np.testing.assert_allclose(whole.advantage_tm1[3:], second.advantage_tm1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(whole.total, first.total + second.total, rtol=1e-5)
    for name in ("policy_gradient", "baseline", "entropy"):
        np.testing.assert_allclose(whole.metrics[name], first.metrics[name] + second.metrics[name], rtol=1e-5)


@pytest.mark.parametrize("algorithm", ["impala", "impact", "ppo"])
def test_marks_weigh_the_losses_and_keep_the_entropy_to_fresh_unrolls(algorithm):
    """The batch of two unrolls, one of them replayed with weight 0.5, is the sum of the two alone."""
    config = Config(algorithm=algorithm, entropy_cost=0.1)
    unroll, learner, target = make_unroll(), outputs(1), outputs(2)

    def loss(is_fresh, weight):
        marks = Marks(tf.constant(is_fresh), tf.constant(weight, tf.float32))
        inputs = loss_inputs(unroll, learner, DISTRIBUTION, config, target=target, marks=marks)
        return make_algorithm(config).loss(inputs).metrics

    all_of_it = loss([True] * B, [1.0] * B)
    first_two = loss([True, True, False, False], [1.0, 1.0, 0.0, 0.0])
    weighed = loss([True, True, False, False], [1.0, 1.0, 0.5, 0.5])
    for name in ("policy_gradient", "baseline"):
        half_of_others = 0.5 * (all_of_it[name] - first_two[name])
        np.testing.assert_allclose(weighed[name], first_two[name] + half_of_others, rtol=1e-5)
    assert weighed["entropy"] == first_two["entropy"] != all_of_it["entropy"]
    num_fresh = np.count_nonzero(~unroll.env_outputs.first.numpy()[1:, :2])
    np.testing.assert_allclose(weighed["mean_entropy"], -weighed["entropy"] / 0.1 / num_fresh, rtol=1e-5)
    assert loss([False] * B, [1.0] * B)["mean_entropy"] == all_of_it["mean_entropy"] > 0


def test_advantages_are_normalised_over_the_valid_steps():
    settings = dict(algorithm="ppo", discounting=0.9, entropy_cost=0.0)
    unroll, learner = make_unroll(), outputs(1)
    on_policy = learner._replace(parameters=tf.concat([unroll.behaviour_parameters, learner.parameters[-1:]], axis=0))

    def loss(**more):
        config = Config(**settings, **more)
        return make_algorithm(config).loss(loss_inputs(unroll, on_policy, DISTRIBUTION, config))

    plain, normalised = loss(), loss(normalise_advantages=True)
    valid = ~unroll.env_outputs.first.numpy()[1:]
    advantages = plain.advantage_tm1.numpy()[valid]
    np.testing.assert_allclose(plain.metrics["policy_gradient"], -advantages.sum(), rtol=1e-4)  # Ratios are 1.
    assert abs(advantages.mean()) > 0.1
    np.testing.assert_allclose(normalised.metrics["policy_gradient"], 0, atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "needs"),
    [
        (dict(algorithm="impala"), Needs()),
        (dict(algorithm="impala", batch_uses=3), Needs(batch_uses=3)),
        (dict(algorithm="ppo"), Needs(batch_uses=4, minibatches=4)),
        (dict(algorithm="ppo", batch_uses=10, minibatches=2), Needs(batch_uses=10, minibatches=2)),
        (dict(algorithm="impact"), Needs(target_period=8, buffer_batches=4, batch_uses=2)),
        (
            dict(algorithm="impact", buffer_batches=16, batch_uses=20),
            Needs(target_period=320, buffer_batches=16, batch_uses=20),
        ),
        (
            dict(algorithm="impact", minibatches=2, target_update_period=5),
            Needs(target_period=5, buffer_batches=4, batch_uses=2, minibatches=2),
        ),
    ],
)
def test_needs(settings, needs):
    assert make_algorithm(Config(**settings)).needs == needs
