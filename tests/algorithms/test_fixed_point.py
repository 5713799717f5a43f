"""What the corrections converge to, on a small Markov decision process whose values are known (section 4.1).

The value is a table. An update moves it to the expected target of the first row of an unroll: every unroll of T steps
that mu can take is listed with its probability, so nothing is sampled.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import make_algorithm, vtrace
from impala_tf.algorithms.actor_critic import LogProbs
from impala_tf.config import Config

S, A, T = 4, 2, 3
GAMMA = 0.8
RANDOM = np.random.default_rng(5)
NEXT = RANDOM.dirichlet(np.full(S, 0.7), size=(S, A))  # P(x' | x, a)
REWARD = RANDOM.normal(scale=3.0, size=(S, A))
MU = np.array([[0.85, 0.15], [0.3, 0.7], [0.6, 0.4], [0.2, 0.8]])
PI = np.array([[0.1, 0.9], [0.65, 0.35], [0.15, 0.85], [0.9, 0.1]])


def value_of(policy):
    """Solves V = sum_a policy(a | x) (r + gamma P V)."""
    rewards = (policy * REWARD).sum(1)
    transitions = np.einsum("xa,xay->xy", policy, NEXT)
    return np.linalg.solve(np.eye(S) - GAMMA * transitions, rewards)


def pi_rho_bar(rho_bar):
    """Equation 3: min(rho_bar mu, pi), normalised in each state."""
    weights = np.minimum(rho_bar * MU, PI)
    return weights / weights.sum(1, keepdims=True)


def unrolls():
    """Lists the unrolls of T steps from each state: states [T + 1, N], actions [T, N] and probabilities [N]."""
    states = np.array(list(itertools.product(range(S), repeat=T + 1))).T
    actions = np.array(list(itertools.product(range(A), repeat=T))).T
    states, actions = np.repeat(states, A**T, axis=1), np.tile(actions, S ** (T + 1))
    steps = MU[states[:-1], actions] * NEXT[states[:-1], actions, states[1:]]
    return states, actions, steps.prod(0)


STATES, ACTIONS, PROBABILITIES = unrolls()


def float32(array):
    return tf.constant(array, tf.float32)


def update(correction="vtrace", **settings):
    """Makes the function from a table of values [S] to the expected targets of its states."""
    log_pi, log_mu = (float32(np.log(policy)[STATES[:-1], ACTIONS]) for policy in (PI, MU))
    log_rhos = make_algorithm(Config(correction=correction)).correction(LogProbs(log_pi, log_mu, None))
    # Row x takes the expectation over the unrolls that begin in x.
    expectation = float32(np.where(STATES[0] == np.arange(S)[:, None], PROBABILITIES, 0.0))
    discounts = float32(np.full(ACTIONS.shape, GAMMA))

    @tf.function
    def expected_targets(table):
        values = tf.gather(table, STATES)
        returns = vtrace.from_importance_weights(
            log_rhos, discounts, float32(REWARD[STATES[:-1], ACTIONS]), values[:-1], values[1:], **settings
        )
        return tf.linalg.matvec(expectation, returns.vs_tm1[0])

    return expected_targets


def fixed_point(expected_targets):
    table = tf.zeros(S)
    for _ in range(200):
        last, table = table, expected_targets(table)
    np.testing.assert_allclose(table, last, atol=1e-4, err_msg="the updates do not converge")
    return table.numpy()


def thresholds(rho_bar, c_bar=1.0):
    return dict(clip_rho_threshold=rho_bar, clip_c_threshold=c_bar)


def test_the_unrolls_are_all_there_and_the_policies_apart():
    sums = [PROBABILITIES[STATES[0] == x].sum() for x in range(S)]
    np.testing.assert_allclose(sums, 1)
    values = [value_of(policy) for policy in (MU, pi_rho_bar(1.0), pi_rho_bar(2.0), PI)]
    for one, other in itertools.combinations(values, 2):
        assert np.abs(one - other).max() > 0.3
    for threshold in (1.0, 2.0):
        assert 0.1 < (threshold < PI / MU).mean() < 0.9


@pytest.mark.parametrize("rho_bar", [1.0, 2.0])
def test_the_fixed_point_is_the_value_of_the_clipped_policy(rho_bar):
    got = fixed_point(update(**thresholds(rho_bar)))
    np.testing.assert_allclose(got, value_of(pi_rho_bar(rho_bar)), atol=1e-3)


@pytest.mark.parametrize("rho_bar", [None, np.inf])
def test_without_clipping_it_is_the_value_of_pi(rho_bar):
    np.testing.assert_allclose(fixed_point(update(**thresholds(rho_bar))), value_of(PI), atol=1e-3)


@pytest.mark.parametrize("correction", ["one_step", "epsilon", "none"])
def test_without_ratios_it_is_the_value_of_mu(correction):
    got = fixed_point(update(correction))
    np.testing.assert_allclose(got, value_of(MU), atol=1e-3)


@pytest.mark.parametrize("changed", [dict(clip_c_threshold=0.3), dict(clip_c_threshold=0.0), dict(lambda_=0.5)])
def test_c_bar_and_lambda_change_the_way_but_not_the_fixed_point(changed):
    paper, other = update(), update(**changed)
    assert np.abs(paper(tf.zeros(S)) - other(tf.zeros(S))).max() > 0.05
    np.testing.assert_allclose(fixed_point(other), value_of(pi_rho_bar(1.0)), atol=1e-3)
