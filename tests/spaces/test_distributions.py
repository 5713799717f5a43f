"""Distributions over actions of every space, by numpy and scipy; sampling, checks, and what environments get."""

import gymnasium as gym
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from gymnasium.vector import SyncVectorEnv

from impala_tf.spaces import action_spaces, distributions
from impala_tf.spaces.environment_actions import to_environment
from tests.support.distributions import SEED, SPACES, random_parameters

INF = np.inf
TANH = dict(action_bounds="tanh")


class Recorder(gym.Env):
    """Keeps the actions that it was given."""

    observation_space = gym.spaces.Discrete(2)

    def __init__(self, space):
        self.action_space = space
        self.actions = []

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        self.actions.append(action)
        return 0, 0.0, False, False, {}


def as_the_environments_get_them(space, actions, action_bounds):
    """[B, ...] travelling actions -> what B environments behind gymnasium's vector got."""
    envs = [Recorder(space) for _ in actions]
    vector = SyncVectorEnv([lambda env=env: env for env in envs])
    vector.reset()
    vector.step(to_environment(space, action_bounds)(actions))
    return [env.actions[0] for env in envs]


def test_categorical_against_numpy():
    space = gym.spaces.Discrete(3)
    distribution = distributions.for_space(space)
    logits = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    actions = np.random.default_rng(1).integers(3, size=(4, 5))
    expected = np.log(np.take_along_axis(probabilities, actions[..., None], -1)[..., 0])
    np.testing.assert_allclose(distribution.log_prob(logits, tf.constant(actions)), expected, rtol=1e-5)
    expected = -(probabilities * np.log(probabilities)).sum(-1)
    np.testing.assert_allclose(distribution.entropy(logits), expected, rtol=1e-5)
    np.testing.assert_array_equal(distribution.mode(logits), logits.argmax(-1))
    assert distribution.sample(logits, SEED).dtype == space.dtype


def test_samples_have_the_right_frequencies():
    distribution = distributions.for_space(gym.spaces.Discrete(3))
    logits = np.tile(np.log(np.array([0.5, 0.3, 0.2], np.float32)), (20_000, 1))
    counts = np.bincount(distribution.sample(logits, SEED), minlength=3) / len(logits)
    np.testing.assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.015)


def test_the_start_of_a_discrete_space():
    space = gym.spaces.Discrete(3, start=-1)
    distribution = distributions.for_space(space)
    logits = tf.constant([[9.0, 0, 0], [0, 9, 0], [0, 0, 9]])
    actions = distribution.mode(logits)
    assert actions.numpy().tolist() == [-1, 0, 1]
    assert all(space.contains(action) for action in distribution.sample(logits, SEED).numpy())
    np.testing.assert_array_equal(distribution.encode(actions), np.eye(3))
    assert np.all(distribution.log_prob(logits, actions) > -0.01)


@pytest.mark.parametrize("nvec", [[2, 5, 3], [4, 4], [[2, 3], [1, 4]]], ids=str)
def test_multi_discrete_against_scipy(nvec):
    start = np.arange(np.size(nvec)).reshape(np.shape(nvec)) - 2
    space = gym.spaces.MultiDiscrete(nvec, start=start)
    distribution = distributions.for_space(space)
    assert (distribution.num_parameters, distribution.action_shape) == (np.sum(nvec), np.shape(nvec))
    parameters = random_parameters(distribution, 3, 4)
    space.seed(0)
    actions = np.array([[space.sample() for _ in range(4)] for _ in range(3)])
    indices = (actions - start).reshape(3, 4, -1)
    log_probs, entropies, modes, encoded = 0, 0, [], []
    for i, logits in enumerate(np.split(parameters, np.cumsum(np.ravel(nvec))[:-1], axis=-1)):
        p = scipy.special.softmax(logits, axis=-1)
        log_probs = log_probs + np.log(np.take_along_axis(p, indices[..., i : i + 1], -1)[..., 0])
        entropies = entropies + scipy.stats.entropy(p, axis=-1)
        modes.append(p.argmax(-1))
        encoded.append(np.eye(p.shape[-1])[indices[..., i]])
    np.testing.assert_allclose(distribution.log_prob(parameters, actions), log_probs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(distribution.entropy(parameters), entropies, rtol=1e-5)
    expected = np.stack(modes, -1).reshape(3, 4, *np.shape(nvec)) + start
    np.testing.assert_array_equal(distribution.mode(parameters), expected)
    np.testing.assert_array_equal(distribution.encode(actions), np.concatenate(encoded, -1))
    sample = distribution.sample(parameters, SEED).numpy()
    assert sample.dtype == space.dtype
    assert all(space.contains(action) for action in sample.reshape(-1, *np.shape(nvec)))


def test_multi_discrete_samples_have_the_right_frequencies():
    """Of pairs: the components are independent."""
    distribution = distributions.for_space(gym.spaces.MultiDiscrete([2, 3]))
    p, q = np.array([0.7, 0.3]), np.array([0.5, 0.3, 0.2])
    parameters = np.tile(np.log(np.concatenate([p, q])).astype(np.float32), (20_000, 1))
    sample = distribution.sample(parameters, SEED).numpy()
    counts = np.bincount(sample[:, 0] * 3 + sample[:, 1], minlength=6) / len(sample)
    np.testing.assert_allclose(counts.reshape(2, 3), np.outer(p, q), atol=0.015)


@pytest.mark.parametrize(("dtype", "n", "start"), [(np.int8, 127, -128), (np.uint8, 200, 50)])
def test_small_integer_types(dtype, n, start):
    space = gym.spaces.MultiDiscrete([n, 3], dtype=dtype, start=[start, 0])
    distribution = distributions.for_space(space)
    parameters = np.zeros([2, n + 3], np.float32)
    parameters[0, n - 1] = parameters[1, 0] = 50
    actions = distribution.mode(parameters)
    assert actions.dtype == dtype
    assert actions.numpy().tolist() == [[start + n - 1, 0], [start, 0]]
    np.testing.assert_allclose(distribution.log_prob(parameters, actions), -np.log([3, 3]), rtol=1e-5)


@pytest.mark.parametrize("shape", [3, (2, 2)])
def test_multi_binary_against_scipy(shape):
    space = gym.spaces.MultiBinary(shape)
    distribution = distributions.for_space(space)
    parameters = random_parameters(distribution, 5, seed=1)
    actions = np.array([space.sample() for _ in range(5)])
    p = scipy.special.expit(parameters.astype(np.float64))
    bits = actions.reshape(5, -1)
    expected = scipy.stats.bernoulli.logpmf(bits, p).sum(-1)
    np.testing.assert_allclose(distribution.log_prob(parameters, actions), expected, rtol=1e-5)
    np.testing.assert_allclose(distribution.entropy(parameters), scipy.stats.bernoulli.entropy(p).sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(distribution.mode(parameters), (parameters > 0).reshape(5, *space.shape))
    np.testing.assert_array_equal(distribution.encode(actions), bits)
    sample = distribution.sample(np.tile(parameters[:1], (20_000, 1)), SEED).numpy()
    assert sample.dtype == space.dtype
    np.testing.assert_allclose(sample.reshape(20_000, -1).mean(0), p[0], atol=0.015)


@pytest.mark.parametrize("config", [{}, TANH, dict(action_scale="predicted")], ids=["clip", "tanh", "predicted"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_sample_is_in_the_space_at_the_border(space, config):
    distribution = distributions.for_space(space, **config)
    spec = action_spaces.travelling_spec(space)
    assert (distribution.action_shape, distribution.action_dtype.as_numpy_dtype) == (spec.shape, spec.dtype)
    parameters = 3 * random_parameters(distribution, 64)
    for actions in (distribution.sample(parameters, SEED), distribution.mode(parameters)):
        assert actions.shape == (64, *spec.shape)
        received = as_the_environments_get_them(space, actions.numpy(), config.get("action_bounds", "clip"))
        for action in received:
            # gymnasium's vector hands out numpy scalars for Box(()); `contains` wants an array.
            assert space.contains(np.asarray(action) if isinstance(space, gym.spaces.Box) else action), action
        encoded = distribution.encode(actions)
        assert encoded.shape == (64, distribution.encoding_size)
        assert np.all(np.abs(encoded) <= 10)
        assert np.all(np.isfinite(distribution.log_prob(parameters, actions)))
        # The same conversion by TensorFlow, for exports.
        if not isinstance(space, gym.spaces.Dict):
            bounded = distribution.bounded(actions)
            assert bounded.dtype == space.dtype
            np.testing.assert_allclose(bounded, np.array(received), rtol=1e-6, atol=1e-7)


def test_integers_and_bits_travel_as_they_are():
    for name in ("discrete", "multi_discrete", "multi_binary"):
        actions = np.array([SPACES[name].sample() for _ in range(2)])
        assert to_environment(SPACES[name], "clip")(actions) is actions


def test_a_dict_reaches_the_environments_by_name():
    """Dict sorts its names: a, m, z."""
    row = np.float32([0.5, -9, 0, 1, 1, 0, 1, 3, -1])
    bounded = distributions.for_space(SPACES["nested"]).bounded(row)
    np.testing.assert_array_equal(bounded, [4.75, -2, 2.5, 7, 1, 0, 1, 3, -1])
    (action,) = as_the_environments_get_them(SPACES["nested"], row[None], "clip")
    assert list(action) == ["a", "m", "z"]
    np.testing.assert_array_equal(action["a"][0], [[4.75, -2], [2.5, 7]])
    assert action["a"][1]["bits"].tolist() == [1, 0]
    assert action["m"].tolist() == [1, 3]
    assert action["z"] == -1
    dtypes = (action["a"][0].dtype, action["a"][1]["bits"].dtype, action["m"].dtype, action["z"].dtype)
    assert dtypes == (np.float64, np.int8, np.int16, np.int64)


def test_a_joint_distribution_is_the_sum_of_its_parts():
    parts = [SPACES["box"], SPACES["discrete"], SPACES["multi_binary"], gym.spaces.Box(-INF, INF, ())]
    joint = distributions.for_space(gym.spaces.Tuple(parts))
    alone = [distributions.for_space(part) for part in parts]
    # Means and logits first, part by part, then the two learned scales.
    assert (joint.num_parameters, joint.num_free_parameters) == (4 + 4 + 4 + 2, 3)
    p = random_parameters(joint, 5)
    parameters = [np.concatenate([p[:, :2], p[:, 11:13]], 1), p[:, 2:6], p[:, 6:10], p[:, [10, 13]]]
    actions = [d.sample(q, SEED) for d, q in zip(alone, parameters, strict=True)]
    flat = np.concatenate([np.reshape(a, [5, -1]).astype(np.float32) for a in actions], 1)
    expected = sum(d.log_prob(q, a) for d, q, a in zip(alone, parameters, actions, strict=True))
    np.testing.assert_allclose(joint.log_prob(p, flat), expected, rtol=1e-5)
    expected = sum(d.entropy(q) for d, q in zip(alone, parameters, strict=True))
    np.testing.assert_allclose(joint.entropy(p), expected, rtol=1e-5)
    expected = np.concatenate([d.encode(a) for d, a in zip(alone, actions, strict=True)], 1)
    np.testing.assert_array_equal(joint.encode(flat), expected)


def test_the_parts_of_a_joint_sample_are_independent():
    distribution = distributions.for_space(gym.spaces.Tuple([gym.spaces.Box(-INF, INF, ())] * 2))
    # In a graph two sampling ops of one seed give the same.
    sample = tf.function(distribution.sample)(tf.zeros([20_000, 4]), SEED).numpy()
    assert abs(np.corrcoef(sample.T)[0, 1]) < 0.03


@pytest.mark.parametrize("config", [{}, TANH], ids=["clip", "tanh"])
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_extreme_parameters_have_finite_gradients(space, config):
    distribution = distributions.for_space(space, **config)
    for size in (1e4, -1e4):
        parameters = tf.constant(size * np.sign(random_parameters(distribution, 50)))
        actions = distribution.sample(tf.zeros_like(parameters), SEED)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(parameters)
            log_prob, entropy = distribution.log_prob(parameters, actions), distribution.entropy(parameters)
        for value in (log_prob, entropy, tape.gradient(log_prob, parameters), tape.gradient(entropy, parameters)):
            assert np.all(np.isfinite(value))


@pytest.mark.parametrize("name", ["discrete", "box", "nested"])
def test_xla_computes_the_same(name):
    """The update may be compiled."""
    distribution = distributions.for_space(SPACES[name], **TANH)
    parameters = random_parameters(distribution, 4, 3)
    actions = distribution.sample(parameters, SEED)

    def loss(parameters, actions):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            total = tf.reduce_sum(distribution.log_prob(parameters, actions) + 2 * distribution.entropy(parameters))
        return total, tape.gradient(total, parameters)

    eager = loss(tf.constant(parameters), actions)
    compiled = tf.function(loss, jit_compile=True)(tf.constant(parameters), actions)
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_an_unknown_batch_size(space):
    """Graphs are traced for any number of environments."""
    distribution = distributions.for_space(space)

    @tf.function(input_signature=[tf.TensorSpec([None, distribution.num_parameters])])
    def run(parameters):
        actions = distribution.sample(parameters, SEED)
        encoded = distribution.encode(actions)
        assert encoded.shape[-1] == distribution.encoding_size
        return actions, distribution.log_prob(parameters, actions), encoded, distribution.bounded(actions)

    actions, log_prob, encoded, bounded = run(random_parameters(distribution, 7))
    assert actions.shape == bounded.shape == (7, *distribution.action_shape)
    assert (log_prob.shape, encoded.shape) == ((7,), (7, distribution.encoding_size))


def test_a_mask_or_parameters_of_the_wrong_size_are_refused():
    distribution = distributions.for_space(gym.spaces.MultiDiscrete([2, 3]))
    with pytest.raises(ValueError, match=r"mask must have shape \(1, 5\), got \(1, 4\)"):
        distribution.apply_mask(np.ones([1, 5], np.float32), np.ones([1, 4], bool))
    with pytest.raises(ValueError, match=r"parameters must have shape \(1, 5\), got \(1, 6\)"):
        distribution.entropy(np.ones([1, 6], np.float32))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (gym.spaces.Box(0, 255, (2,), np.uint8), r"action space Box\(0, 255, \(2,\), uint8\) is a Box of uint8; supp"),
        (gym.spaces.Text(3), r"action space Text\(.* is not supported; supported: Discrete, MultiDiscrete, "),
        (gym.spaces.Sequence(gym.spaces.Discrete(2)), r"action space Sequence\(.* is not supported"),
        (gym.spaces.Graph(gym.spaces.Box(-1, 1, (2,)), None), r"action space Graph\(.* is not supported"),
        (gym.spaces.Dict({"a": gym.spaces.Text(3)}), r"action space Text\(.* is not supported"),
        (gym.spaces.Tuple([]), r"action space Tuple\(\) has no parts"),
        (gym.spaces.Tuple([gym.spaces.Discrete(2, start=2**24)]), r"action space Discrete\(2, .* beyond 2\^24"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_spaces_are_refused_by_name(space, message):
    with pytest.raises(NotImplementedError, match=f"^{message}") as error:
        distributions.for_space(space)
    assert "\n" not in str(error.value)
    with pytest.raises(NotImplementedError, match=f"^{message}"):
        to_environment(space, "clip")


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_seed_decides_the_sample(space):
    """The same seed gives the same actions, eagerly and in a graph; another seed gives others."""
    distribution = distributions.for_space(space)
    parameters = tf.constant(random_parameters(distribution, 64))
    graph = tf.function(distribution.sample)
    actions = distribution.sample(parameters, SEED)
    np.testing.assert_array_equal(distribution.sample(parameters, SEED), actions)
    for _ in range(2):
        np.testing.assert_array_equal(graph(parameters, SEED), actions)
    for other in ([1, 3], [2, 2]):
        assert np.any(graph(parameters, tf.constant(other)) != actions)


def test_a_seed_of_the_wrong_kind_is_refused():
    for space in (SPACES["discrete"], SPACES["nested"]):
        distribution = distributions.for_space(space)
        parameters = random_parameters(distribution, 2)
        with pytest.raises(ValueError, match=r"seed must have shape \(2,\), got \(\)"):
            distribution.sample(parameters, 7)
        with pytest.raises(ValueError, match="seed must be int32, got int64"):
            distribution.sample(parameters, np.zeros(2, np.int64))


def test_wrong_actions_and_parameters_are_named():
    for name in ("multi_discrete", "nested"):
        distribution = distributions.for_space(SPACES[name])
        parameters, shape = random_parameters(distribution, 5), [5, *distribution.action_shape]
        with pytest.raises(ValueError, match=r"^actions must have shape"):
            distribution.log_prob(parameters, np.zeros([*shape[:-1], shape[-1] + 1], np.float32))
        with pytest.raises(ValueError, match=r"^actions must have shape"):
            distribution.encode(np.zeros([*shape[:-1], 1], np.float32))
        with pytest.raises(ValueError, match=r"^parameters must be float32, got int32"):
            distribution.mode(parameters.astype(np.int32))
