import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import vtrace

NAMES = ("log_rho_tm1", "discount_t", "reward_t", "value_tm1", "value_t", "valid_tm1")


def inputs(seed=0, shape=(7, 5), with_invalid=True):
    """Ratios spread over both sides of every threshold used below, terminations, and reset steps."""
    random = np.random.default_rng(seed)
    log_rhos = random.uniform(-2.5, 2.5, shape).astype(np.float32)
    discounts = (0.9 * (random.random(shape) > 0.2)).astype(np.float32)
    rewards = random.normal(size=shape).astype(np.float32)
    values = random.normal(size=shape).astype(np.float32) * 3
    bootstrap_value = random.normal(size=shape[1:]).astype(np.float32)
    valid = random.random(shape) > 0.2 if with_invalid else np.ones(shape, bool)
    return log_rhos, discounts, rewards, values, after(values, bootstrap_value), valid


def after(values, bootstrap_value):
    """value_t of value_tm1 and the value of the last row."""
    return np.concatenate([values[1:], np.asarray(bootstrap_value)[None]])


def clip(x, threshold):
    return x if threshold is None else np.minimum(x, threshold)


def ground_truth(log_rhos, discounts, rewards, values, next_values, valid, rho_bar, c_bar, pg_rho_bar, lambda_):
    """Equation 1 as it stands: for each s a sum over t of products over i, O(T^2); float64."""
    log_rhos, discounts, rewards, values, next_values = (
        np.asarray(x, np.float64) for x in (log_rhos, discounts, rewards, values, next_values)
    )
    bootstrap_value = next_values[-1]
    num_steps = len(log_rhos)
    rhos, cs = clip(np.exp(log_rhos), rho_bar), lambda_ * clip(np.exp(log_rhos), c_bar)
    deltas = valid * rhos * (rewards + discounts * next_values - values)
    vs = np.array(values)
    for s in range(num_steps):
        for t in range(s, num_steps):
            product = np.ones_like(bootstrap_value)
            for i in range(s, t):
                product = product * discounts[i] * cs[i] * valid[i]
            vs[s] += product * deltas[t]
    next_vs = np.concatenate([vs[1:], bootstrap_value[None]])
    advantages = valid * clip(np.exp(log_rhos), pg_rho_bar) * (rewards + discounts * next_vs - values)
    return vs, advantages


@pytest.mark.parametrize("shape", [(7, 5), (6,), (4, 3, 2), (1, 2)])
@pytest.mark.parametrize(
    ("rho_bar", "c_bar", "pg_rho_bar", "lambda_"),
    [(1.0, 1.0, 1.0, 1.0), (3.0, 0.7, 2.0, 0.9), (None, None, None, 1.0), (2.0, 1.5, None, 0.5), (0.0, 0.0, 0.0, 1.0)],
)
def test_agrees_with_the_equations(shape, rho_bar, c_bar, pg_rho_bar, lambda_):
    given = inputs(shape=shape)
    returns = vtrace.from_importance_weights(
        *given, clip_rho_threshold=rho_bar, clip_c_threshold=c_bar, clip_pg_rho_threshold=pg_rho_bar, lambda_=lambda_
    )
    vs, advantages = ground_truth(*given, rho_bar, c_bar, pg_rho_bar, lambda_)
    np.testing.assert_allclose(returns.vs_tm1, vs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(returns.pg_advantage_tm1, advantages, rtol=1e-5, atol=1e-5)
    assert returns.vs_tm1.dtype == returns.pg_advantage_tm1.dtype == tf.float32


def test_the_inputs_reach_both_sides_of_every_clip():
    log_rhos, discounts, _, _, _, valid = inputs()
    for threshold in (0.7, 1.0, 1.5, 2.0, 3.0):
        above = np.exp(log_rhos) > threshold
        assert 0.1 < above.mean() < 0.9
    assert 0 < (discounts == 0).mean() < 1
    assert 0 < valid.mean() < 1


def test_on_policy_it_is_the_n_step_return():
    """Equation 2: with pi = mu and c_bar, rho_bar >= 1."""
    _, discounts, rewards, values, next_values, _ = inputs(with_invalid=False)
    returns = vtrace.from_importance_weights(np.zeros_like(values), discounts, rewards, values, next_values)
    expected = np.zeros_like(values)
    following = next_values[-1]
    for t in reversed(range(len(values))):
        following = expected[t] = rewards[t] + discounts[t] * following
    np.testing.assert_allclose(returns.vs_tm1, expected, rtol=1e-5, atol=1e-5)


def test_a_time_limit_inside_an_unroll_equals_its_two_halves():
    """Rows 0-3 end by a time limit, step 3 is spent on the reset, rows 4-7 are a new episode."""
    log_rhos, discounts, rewards, values, _, _ = inputs(seed=3, shape=(7, 1), with_invalid=False)
    discounts = np.full_like(discounts, 0.9)
    bootstrap_value = np.array([2.5], np.float32)
    valid = np.ones((7, 1), bool)
    valid[3] = False
    next_values = after(values, bootstrap_value)
    whole = vtrace.from_importance_weights(log_rhos, discounts, rewards, values, next_values, valid)
    # values[3] is that of the episode's true final observation: what a time limit bootstraps from.
    first = vtrace.from_importance_weights(log_rhos[:3], discounts[:3], rewards[:3], values[:3], values[1:4])
    second = vtrace.from_importance_weights(log_rhos[4:], discounts[4:], rewards[4:], values[4:], next_values[4:])
    for name in ("vs_tm1", "pg_advantage_tm1"):
        both = getattr(whole, name).numpy()
        np.testing.assert_allclose(both[:3], getattr(first, name), rtol=1e-6)
        np.testing.assert_allclose(both[4:], getattr(second, name), rtol=1e-6)
    np.testing.assert_array_equal(whole.pg_advantage_tm1[3], 0)
    np.testing.assert_array_equal(whole.vs_tm1[3], values[3])


def test_nothing_leaks_from_the_next_episode():
    """V of episode A is 1, of episode B 100, no reward, gamma 1: A is worth 1 after a time limit, B stays out of it."""
    values = np.array([1, 1, 1, 100, 100], np.float32)[:, None]
    valid = np.array([1, 1, 0, 1, 1], bool)[:, None]
    nothing, one = np.zeros((5, 1), np.float32), np.ones((5, 1), np.float32)
    returns = vtrace.from_importance_weights(nothing, one, nothing, values, after(values, np.float32([100])), valid)
    np.testing.assert_array_equal(returns.pg_advantage_tm1, nothing)
    np.testing.assert_array_equal(returns.vs_tm1, values)


def test_an_invalid_step_may_hold_anything():
    """The action of a reset step was ignored, so its ratio can be as large as it likes."""
    given = dict(zip(NAMES, inputs(), strict=True))
    expected = vtrace.from_importance_weights(**given, clip_rho_threshold=None, clip_c_threshold=None)
    given["log_rho_tm1"] = np.where(given["valid_tm1"], given["log_rho_tm1"], 1000).astype(np.float32)
    got = vtrace.from_importance_weights(**given, clip_rho_threshold=None, clip_c_threshold=None)
    np.testing.assert_array_equal(got.vs_tm1, expected.vs_tm1)
    np.testing.assert_array_equal(got.pg_advantage_tm1, expected.pg_advantage_tm1)


def test_from_logits_computes_the_ratios():
    random = np.random.default_rng(1)
    behaviour, target = (random.normal(size=(7, 5, 3)).astype(np.float32) for _ in range(2))
    actions = random.integers(3, size=(7, 5))
    _, *rest = inputs()
    got = vtrace.from_logits(behaviour, target, actions, *rest, lambda_=0.9)

    def log_prob(logits):
        log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        return np.take_along_axis(log_probs, actions[..., None], -1)[..., 0]

    log_rhos = log_prob(target) - log_prob(behaviour)
    assert 0.1 < (log_rhos > 0).mean() < 0.9
    np.testing.assert_allclose(got.log_rho_tm1, log_rhos, rtol=1e-4, atol=1e-5)
    expected = vtrace.from_importance_weights(log_rhos.astype(np.float32), *rest, lambda_=0.9)
    np.testing.assert_allclose(got.vs_tm1, expected.vs_tm1, rtol=1e-4, atol=1e-4)


def test_no_gradient_flows_through_the_targets():
    given = [tf.constant(x) for x in inputs()]
    with tf.GradientTape() as tape:
        tape.watch(given[:5])
        returns = vtrace.from_importance_weights(*given)
        total = tf.reduce_sum(returns.vs_tm1) + tf.reduce_sum(returns.pg_advantage_tm1)
    assert tape.gradient(total, given[:5]) == [None] * 5


@pytest.mark.parametrize("jit_compile", [False, True])
def test_unknown_sizes_and_compilation_change_nothing(jit_compile):
    given = inputs()
    expected = vtrace.from_importance_weights(*given)
    if jit_compile:
        compiled = tf.function(vtrace.from_importance_weights, jit_compile=True)
    else:
        specs = [*[tf.TensorSpec([None, None], tf.float32)] * 5, tf.TensorSpec([None, None], tf.bool)]
        compiled = tf.function(vtrace.from_importance_weights, input_signature=specs)
    got = compiled(*given)
    np.testing.assert_allclose(got.vs_tm1, expected.vs_tm1, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.pg_advantage_tm1, expected.pg_advantage_tm1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("reward_t", lambda x: x[:-1], r"reward_t must have shape \(7, 5\), got \(6, 5\)"),
        ("value_tm1", lambda x: x.astype(np.float64), "value_tm1 must be float32, got float64"),
        ("valid_tm1", lambda x: x.astype(np.float32), "valid_tm1 must be bool, got float32"),
        ("value_t", lambda x: x[-1], r"value_t must have shape \(7, 5\), got \(5,\)"),
    ],
)
def test_wrong_inputs_are_refused(name, change, message):
    given = dict(zip(NAMES, inputs(), strict=True))
    given[name] = change(given[name])
    with pytest.raises(ValueError, match=message):
        vtrace.from_importance_weights(**given)


@pytest.mark.parametrize("name", ["clip_rho_threshold", "clip_c_threshold", "clip_pg_rho_threshold", "lambda_"])
def test_negative_thresholds_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0 or None, got -1"):
        vtrace.from_importance_weights(*inputs(), **{name: -1.0})
