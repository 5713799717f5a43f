import functools

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.evaluation.export import ExportedAgent, export
from impala_tf.networks import Agent, DeepTorso, GRUCore, InstructionEncoder, LSTMCore, convolutions, make_agent
from impala_tf.networks.agent import Trunk
from impala_tf.networks.encoders import NestTorso
from impala_tf.networks.heads import with_free_parameters
from impala_tf.networks.torsos import SHALLOW, ConvolutionalTorso, FanInTruncatedNormal
from impala_tf.spaces import distributions
from tests.support.distributions import SEED

BOX = gym.spaces.Box(-1, 1, (4,), np.float32)
ACTIONS = gym.spaces.Discrete(3)


def num_parameters(agent):
    return sum(int(np.prod(v.shape)) for v in agent.variables)


@pytest.mark.parametrize(
    ("torso", "expected"), [(functools.partial(ConvolutionalTorso, *SHALLOW), 1_230_426), (DeepTorso, 1_628_010)]
)
def test_parameter_counts_of_the_dmlab_networks(torso, expected):
    """Figure 3 with language, LSTM 256, last action and reward, 9 actions: 1.2M and 1.6M."""
    space = gym.spaces.Dict(frame=gym.spaces.Box(0, 255, (72, 96, 3), np.uint8), instruction=gym.spaces.Text(100))
    parts = NestTorso([torso(seed=1), InstructionEncoder(seed=2)])
    distribution = distributions.for_space(gym.spaces.Discrete(9))
    agent = Agent(distribution, [Trunk(parts, LSTMCore(256, seed=3))], space, True, 1.0, seed=4)
    assert num_parameters(agent) == expected


@pytest.mark.parametrize(
    ("network", "expected"),
    # Shallow: conv 12,336, FC 9 * 9 * 32 * 256 + 256, heads 7 * 257. Deep: conv 97,744, FC 11 * 11 * 32 * 256 + 256.
    # Nature: conv 8,224 + 32,832 + 36,928, FC 7 * 7 * 64 * 512 + 512, heads 7 * 513.
    [
        ("shallow", 12_336 + 663_808 + 1799),
        ("deep", 97_744 + 991_488 + 1799),
        ("nature", 77_984 + 1_606_144 + 3591),
    ],
)
def test_parameter_counts_of_the_atari_networks(network, expected):
    """84x84, 4 stacked frames, no LSTM, 6 actions."""
    config = Config(network=network, separate_value_network=False)
    agent = make_agent(config, gym.spaces.Box(0, 255, (84, 84, 4), np.uint8), gym.spaces.Discrete(6))
    assert num_parameters(agent) == expected


def test_the_minatar_network():
    """Young & Tian's: conv 9 * C * 16 + 16, FC 8 * 8 * 16 * 128 + 128, heads; boolean planes."""
    config = Config(network="minatar", separate_value_network=False)
    agent = make_agent(config, gym.spaces.Box(0, 1, (10, 10, 4), bool), gym.spaces.Discrete(6))
    assert num_parameters(agent) == 592 + 131_200 + 7 * 129


def test_frames_are_scaled_to_one():
    torso = ConvolutionalTorso(*SHALLOW, seed=1)
    bright = np.full((1, 84, 84, 4), 255, np.uint8)
    np.testing.assert_allclose(torso(tf.constant(bright)), torso(tf.ones([1, 84, 84, 4])), rtol=1e-4, atol=1e-5)


def output_and_gradients(layer, inputs, jit_compile=False):
    """The layer's output, and the gradients of a weighted sum of it to inputs (unless frames), kernel and bias."""
    # Weights that differ everywhere, so that no gradient goes to a wrong place unseen.
    weights = tf.constant(np.random.default_rng(1).normal(size=layer(inputs).shape), tf.float32)

    def run(inputs):
        with tf.GradientTape() as tape:
            sources = [v.value for v in layer.trainable_variables]
            if inputs.dtype == tf.float32:
                tape.watch(inputs)
                sources.insert(0, inputs)
            output = layer(inputs)
            total = tf.reduce_sum(output * weights)
        return output, *tape.gradient(total, sources)

    signature = [tf.TensorSpec([None, *inputs.shape[1:]], inputs.dtype)]  # As where the batch's size is unknown.
    return [x.numpy() for x in tf.function(run, signature, jit_compile=jit_compile)(inputs)]


def assert_equal_up_to_rounding(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "in_blocks"),
    [
        ((20, 20, 16), 4, 2, "valid", True),  # The shallow network's second one, on 84x84 frames
        ((17, 23, 16), 4, 2, "valid", True),  # and on DMLab's 72x96.
        ((13, 11, 3), (8, 4), 4, "valid", True),
        ((12, 9, 5), 3, 3, "valid", True),
        ((20, 20, 4), 5, 2, "valid", False),
        ((20, 20, 4), 4, 2, "same", False),
        ((20, 20, 4), 4, 1, "valid", False),
        ((20, 20, 4), 4, (2, 4), "valid", False),
    ],
)
def test_convolutions_equal_the_plain_ones(monkeypatch, size, kernel, stride, padding, in_blocks, jit_compile):
    calls = []
    original = convolutions.strided_convolution
    monkeypatch.setattr(convolutions, "strided_convolution", lambda *inputs: calls.append(1) or original(*inputs))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    ours, plain = (c(7, kernel, stride, padding) for c in (convolutions.Convolution, keras.layers.Conv2D))
    inputs = tf.random.stateless_normal([3, *size], seed=[3, 4])
    ours(inputs), plain(inputs)
    plain.set_weights(ours.get_weights())
    calls.clear()
    assert_equal_up_to_rounding(
        output_and_gradients(ours, inputs, jit_compile=jit_compile), output_and_gradients(plain, inputs)
    )
    assert bool(calls) == in_blocks
    calls.clear()
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert_equal_up_to_rounding(output_and_gradients(ours, inputs), output_and_gradients(plain, inputs))
    assert not calls


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(8, 4, "valid"), (3, 1, "same")])
def test_convolutions_of_frames_equal_the_plain_ones_of_scaled_frames(kernel, stride, padding):
    ours, plain = (c(16, kernel, stride, padding) for c in (convolutions.Convolution, keras.layers.Conv2D))
    frames = tf.constant(np.random.default_rng(1).integers(256, size=(3, 84, 84, 4)), tf.uint8)
    scaled = tf.cast(frames, tf.float32) / 255.0
    ours(frames), plain(scaled)
    plain.set_weights(ours.get_weights())
    got, (output, _, *expected) = output_and_gradients(ours, frames), output_and_gradients(plain, scaled)
    assert_equal_up_to_rounding(got, [output, *expected])


def test_initialisation():
    weights = FanInTruncatedNormal(seed=1)((400, 300)).numpy()
    assert np.abs(weights).max() <= 2 / np.sqrt(400)
    np.testing.assert_allclose(weights.std(), 0.88 / np.sqrt(400), rtol=0.02)  # 0.88: what truncation leaves.
    agent = make_agent(Config(policy_init_scale=0.01), BOX, ACTIONS)
    step = agent.step(
        tf.ones([2, 4]), tf.zeros([2]), tf.zeros([2], tf.int64), tf.zeros([2], tf.bool), tf.zeros([2, 0]), SEED
    )
    assert np.abs(step.parameters).max() < 0.05


def random_rows(num_rows, batch, seed=0):
    random = np.random.default_rng(seed)
    observation = tf.constant(random.normal(size=(num_rows, batch, 4)), tf.float32)
    reward = tf.constant(random.normal(size=(num_rows, batch)), tf.float32)
    last_action = tf.constant(random.integers(3, size=(num_rows, batch)))
    first = tf.constant(random.random((num_rows, batch)) < 0.3)
    return observation, reward, last_action, first


@pytest.mark.parametrize("core", ["none", "lstm", "gru"])
@pytest.mark.parametrize("separate", [False, True])
def test_unroll_equals_repeated_steps(core, separate):
    """Acting and learning see the same network: row by row or all at once, with episodes that begin in between."""
    config = Config(core=core, core_size=8, separate_value_network=separate, use_last_action_and_reward=True)
    agent = make_agent(config, BOX, ACTIONS)
    rows = random_rows(6, 5)
    assert 0 < np.mean(rows[3]) < 1
    state = tf.random.stateless_normal([5, agent.state_size], seed=[1, 2])
    parameters, baselines = agent.unroll(*rows, state)
    for t in range(6):
        step = agent.step(*(x[t] for x in rows), state, SEED)
        state = step.core_state
        np.testing.assert_allclose(step.parameters, parameters[t], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(step.baseline, baselines[t], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("core", ["lstm", "gru"])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_unroll_with_unknown_sizes_or_compiled(jit_compile, core):
    config = Config(core=core, core_size=8)
    agent = make_agent(config, BOX, ACTIONS)
    inputs = (*random_rows(6, 5), agent.initial_state(5))
    expected = agent.unroll(*inputs)
    if jit_compile:
        got = tf.function(agent.unroll, jit_compile=True)(*inputs)
    else:
        unknown = [tf.TensorSpec([None, None, *x.shape[2:]], x.dtype) for x in inputs[:4]]
        unknown.append(tf.TensorSpec([None, agent.state_size], tf.float32))
        got = tf.function(agent.unroll, input_signature=unknown)(*inputs)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_a_first_row_forgets_everything(core):
    """State, last action and last reward of the episode before make no difference; without `first` they do."""
    config = Config(core=core, core_size=8, use_last_action_and_reward=True)
    agent = make_agent(config, BOX, ACTIONS)
    observation = tf.ones([1, 4])

    def baseline(first, memory):
        state = tf.fill([1, agent.state_size], memory)
        last_action = tf.constant([int(memory)], tf.int64)
        return agent.step(
            observation, tf.constant([memory]), last_action, tf.constant([first]), state, SEED
        ).baseline.numpy()

    assert baseline(True, 1.0) == baseline(True, 0.0)
    assert baseline(False, 1.0) != baseline(False, 0.0)


def outputs_and_gradients(core, unroll, features, first, state):
    """Outputs of `unroll`, and the gradients of a weighted sum of them to features, state and the core's weights."""
    sources = [features, state, *(v.value for v in core.trainable_variables)]
    with tf.GradientTape() as tape:
        tape.watch([features, state])
        outputs = unroll(features, first, state)
        # Weights that differ everywhere, so that no gradient goes to a wrong place unseen.
        weights = tf.constant(np.random.default_rng(1).normal(size=outputs.shape), tf.float32)
        total = tf.reduce_sum(outputs * weights)
    return [outputs, *tape.gradient(total, sources)]


@pytest.mark.parametrize("form", ["eager", "graph", "compiled"])
@pytest.mark.parametrize("kind", [LSTMCore, GRUCore])
def test_an_unrolled_core_equals_repeated_steps(kind, form):
    """Outputs and all gradients, where episodes begin at row 0, in between, at the last row, or never."""
    num_rows, batch, units = 7, 5, 6
    core = kind(units, seed=1)
    core.build((batch, 3))
    for i, variable in enumerate(core.trainable_variables):  # A GRU's biases are zeros, which would hide a mistake.
        variable.assign_add(0.3 * tf.random.stateless_normal(variable.shape, [i, 7]))
    features = tf.random.stateless_normal([num_rows, batch, 3], [1, 2])
    state = tf.random.stateless_normal([batch, core.state_size], [3, 4])
    first = np.zeros([num_rows, batch], bool)
    first[0, 0] = first[3, 1] = first[-1, 2] = first[0, 3] = first[2, 3] = first[3, 3] = first[-1, 3] = True

    def steps(features, first, state):
        outputs = []
        for t in range(num_rows):
            output, state = core.step(features[t], first[t], state)
            outputs.append(output)
        return tf.stack(outputs)

    def run(*inputs):
        return outputs_and_gradients(core, core.unroll, *inputs)

    if form != "eager":
        run = tf.function(run, jit_compile=form == "compiled")
    for resets in (first, np.zeros_like(first), np.ones_like(first)):
        expected = outputs_and_gradients(core, steps, features, tf.constant(resets), state)
        got = run(features, tf.constant(resets), state)
        assert len(got) == 6
        for a, b in zip(got, expected, strict=True):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
        assert np.any(expected[2]) != resets[0].all()  # The initial state counts unless every row 0 forgets it.


@pytest.mark.parametrize(("kind", "expected"), [(LSTMCore, 4 * (3 + 6 + 1) * 6), (GRUCore, 3 * (3 + 6 + 2) * 6)])
def test_the_weights_of_a_core(kind, expected):
    core = kind(6, seed=1)
    core.build((None, 3))
    kernel, recurrent, bias = core.trainable_variables
    assert sum(int(np.prod(v.shape)) for v in core.trainable_variables) == expected
    np.testing.assert_allclose(recurrent @ tf.transpose(recurrent), np.eye(6), atol=1e-5)
    assert np.abs(kernel).max() <= np.sqrt(6 / sum(kernel.shape))
    forget = np.zeros(bias.shape)
    if kind is LSTMCore:
        forget[6:12] = 1
    np.testing.assert_array_equal(bias, forget)


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_an_export_carries_the_state_through_an_episode(core, tmp_path):
    agent = make_agent(Config(core=core, core_size=8, policy_init_scale=1.0), BOX, ACTIONS)
    assert agent.state_size == {"lstm": 2, "gru": 1}[core] * 8 * 2  # Of the policy and of the baseline.
    export(agent, tmp_path / "saved_model", info={})
    inputs = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["step"].structured_input_signature[1]
    assert inputs["core_state"].shape.as_list() == [None, agent.state_size]
    exported = ExportedAgent(tmp_path / "saved_model")
    rows = random_rows(6, 5)
    parameters, baselines = agent.unroll(*rows, agent.initial_state(5))
    state = exported.initial_state(5)
    forgetful = exported.step(*(x[-1] for x in rows[:3]), tf.ones([5], tf.bool), state, SEED)["policy_parameters"]
    for t in range(6):
        out = exported.step(*(x[t] for x in rows), state, SEED)
        state = out["core_state"]
        np.testing.assert_allclose(out["policy_parameters"], parameters[t], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(out["baseline"], baselines[t], rtol=1e-4, atol=1e-5)
    assert not np.allclose(forgetful, parameters[-1], atol=1e-3)


def test_separate_networks_share_nothing():
    config = Config(separate_value_network=True)
    agent = make_agent(config, BOX, ACTIONS)
    rows = random_rows(3, 2)
    with tf.GradientTape() as tape:
        parameters, _ = agent.unroll(*rows, agent.initial_state(2))
        total = tf.reduce_sum(parameters**2)
    gradients = tape.gradient(total, agent.variables)
    assert sum(gradient is not None for gradient in gradients) == 6  # Two layers and the head of the policy.


def test_flat_weights_go_there_and_back():
    one, other = (make_agent(Config(seed=seed, core="lstm", core_size=4), BOX, ACTIONS) for seed in (1, 2))
    rows = (*random_rows(3, 2), one.initial_state(2))
    assert not np.allclose(one.unroll(*rows)[1], other.unroll(*rows)[1])
    other.assign_flat_weights(one.flat_weights())
    np.testing.assert_array_equal(one.unroll(*rows)[1], other.unroll(*rows)[1])


def test_the_seed_decides_the_weights():
    weights = [make_agent(Config(seed=seed), BOX, ACTIONS).flat_weights().numpy() for seed in (1, 1, 2)]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.allclose(weights[0], weights[2])


def test_discrete_observations_become_one_hot():
    agent = make_agent(Config(), gym.spaces.Discrete(5, start=2), ACTIONS)
    observation = tf.constant([[2, 3], [6, 2]], tf.int64)
    nothing = tf.zeros([2, 2]), tf.zeros([2, 2], tf.int64), tf.zeros([2, 2], tf.bool)
    _, baselines = agent.unroll(observation, *nothing, agent.initial_state(2))
    assert baselines[0, 0] == baselines[1, 1]
    assert len(np.unique(baselines)) == 3


def test_empty_instructions_and_padding():
    """An instruction's code does not depend on the longer ones in its batch."""
    encoder = InstructionEncoder(seed=1)
    batch = encoder(tf.constant(["go left", "", "go to the red door"]))
    for i, text in enumerate(["go left", "", "go to the red door"]):
        np.testing.assert_allclose(encoder(tf.constant([text]))[0], batch[i], rtol=1e-5, atol=1e-6)
    assert encoder(tf.constant(["", ""])).shape == (2, 64)


def test_free_parameters_are_the_same_for_every_row():
    made = tf.reshape(tf.range(12.0), [2, 3, 2])
    free = tf.Variable([7.0, 8.0])
    with tf.GradientTape() as tape:
        parameters = with_free_parameters(made, free)
    np.testing.assert_array_equal(parameters[..., :2], made)
    np.testing.assert_array_equal(parameters[..., 2:], np.tile([7, 8], (2, 3, 1)))
    np.testing.assert_array_equal(tape.gradient(parameters, free), [6, 6])
