"""Actions of every space, from the policy into the environment and back into the loss; action masks; normalisation."""

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.algorithms.impala import Impala
from impala_tf.config import Config, SettingError
from impala_tf.evaluation import evaluate_exports
from impala_tf.experience.marks import all_fresh
from impala_tf.learning.objective import Objective
from impala_tf.networks import make_agent
from impala_tf.spaces import distributions, masks
from impala_tf.types import LossCosts
from tests.support.actors import make_actor, unrolls
from tests.support.distributions import SEED
from tests.support.environments import TESTS, Target
from tests.support.networks import update_observation_statistics, update_return_statistics
from tests.support.runs import learned, run
from tests.support.unrolls import B, make_unroll

ID = TESTS


@pytest.mark.parametrize("kind", [*Target.SPACES, "box-tanh"])
def test_every_kind_of_action_is_learned(kind, tmp_path):
    """One step, one sign to look at; random play has a mean of 0. The environment checks that the actions are its."""
    kind, _, bounds = kind.partition("-")
    settings = dict(action_bounds=bounds or "clip", action_scale="predicted" if bounds else "learned")
    summary = run(
        tmp_path, env_id=f"{ID}Target-{kind}-v0", learning_rate=0.02, num_envs_per_actor=16, batch_size=16,
        total_environment_frames=12_000, **settings,
    )  # fmt: skip
    assert summary.mean_return > 0.4
    model = tmp_path / "saved_model"
    evaluate_exports.evaluate(
        [model],
        evaluate_exports.Options(20, greedy=True, env_id=f"{ID}Target-{kind}-v0"),
        evaluate_exports.Files(tmp_path / "out.json"),
    )
    # The export tells what the environment takes.
    step = tf.saved_model.load(str(model)).signatures["step"]
    inputs = step.structured_input_signature[1]
    zeros = {name: tf.zeros([3, *spec.shape[1:]], spec.dtype) for name, spec in inputs.items()}
    out = step(**zeros | dict(seed=SEED))
    space = Target.SPACES[kind]
    if not isinstance(space, gym.spaces.Tuple | gym.spaces.Dict):
        for action in out["environment_action"].numpy():
            assert space.contains(action if action.shape else space.dtype.type(action))


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_a_mask_in_info_is_honoured(kind, vectorization):
    """The environment fails at any other action than the one that its mask leaves."""
    actor, queue, agent = make_actor(f"{ID}Masked-{kind}-v0", num_envs=4, batch_size=4, vectorization=vectorization)
    unroll = unrolls(actor, queue, agent, 3)[2]
    actor.close()
    rows = unroll.env_outputs
    mask = rows.observation["action_mask"]
    assert mask.sum() == np.prod(mask.shape[:2]) * (2 if kind == "multi_discrete" else 1)
    # The learner sees the same: the policy is certain, so ratios are 1, entropies 0, and nothing is nan.
    observation = tf.nest.map_structure(tf.convert_to_tensor, rows.observation)
    last_action = np.concatenate([unroll.last_action[np.newaxis], unroll.actions])
    parameters, _ = agent.unroll(observation, rows.reward, last_action, rows.first, unroll.core_state)
    np.testing.assert_allclose(agent.distribution.entropy(parameters), 0, atol=1e-6)
    valid = ~rows.first[1:]
    log_probs = agent.distribution.log_prob(parameters[:-1], unroll.actions).numpy()
    np.testing.assert_allclose(log_probs[valid], 0, atol=1e-6)


def test_training_with_masks(tmp_path):
    summary = run(tmp_path, env_id=f"{ID}Masked-discrete-v0")
    assert summary.mean_return == 7
    evaluate_exports.evaluate(
        [tmp_path / "saved_model"],
        evaluate_exports.Options(4, env_id=f"{ID}Masked-discrete-v0"),
        evaluate_exports.Files(tmp_path / "out.json"),
    )


def test_gymnasium_taxi_tells_its_mask():
    space = environments.spec_of(Config(env_id="Taxi-v4" if "Taxi-v4" in gym.registry else "Taxi-v3")).observation_space
    assert space["action_mask"].shape == (6,)


def test_statistics_are_learned_saved_and_exported(tmp_path):
    """Counting's observations [episode, step, action] and rewards 1, 2, ... are far from 0 and 1."""
    settings = dict(env_id=f"{ID}Counting-v0", normalise_observations=True, normalise_returns=True)
    run(tmp_path, **settings)
    arrays = learned(tmp_path)
    mean, variance, count = (arrays[f"statistics/observation_{what}.0"] for what in ("mean", "variance", "count"))
    assert 2 < mean[1] < 3.2, "steps 0 to 5 or 6"
    assert 2 < variance[1] < 5
    assert count == arrays["updates"] * 4 * 5, "rows 1 to T of each unroll"
    assert arrays["statistics/returns_count.0"] == arrays["environment_frames"], "returns: without the reset rows"
    assert arrays["statistics/returns_variance.0"] > 5, "the spread of returns"
    before = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["step"]
    inputs = {
        name: tf.ones([1, *spec.shape[1:]], spec.dtype) for name, spec in before.structured_input_signature[1].items()
    } | dict(seed=SEED)
    run(tmp_path, **settings)  # Nothing to learn any more: restored, exported again.
    after = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["step"]
    np.testing.assert_allclose(before(**inputs)["baseline"], after(**inputs)["baseline"])


def test_normalised_observations_and_returns_reach_network_and_loss():
    space = gym.spaces.Dict(
        x=gym.spaces.Box(-np.inf, np.inf, (2,)), frame=gym.spaces.Box(0, 255, (20, 20, 1), np.uint8)
    )
    agent = make_agent(Config(normalise_observations=True, normalise_returns=True), space, gym.spaces.Discrete(2))
    assert len(agent.statistics) == 6, "x and returns; frames keep their scale"
    assert agent.reward_scale(tf.constant([0])).numpy().tolist() == [1]
    flat = agent.flat_weights()
    other = make_agent(
        Config(seed=2, normalise_observations=True, normalise_returns=True), space, gym.spaces.Discrete(2)
    )
    agent.statistics[0].assign([1.0, 2.0])
    other.assign_flat_weights(agent.flat_weights())
    np.testing.assert_array_equal(other.statistics[0], [1.0, 2.0])
    assert flat.shape == agent.flat_weights().shape

    def baseline(x):
        observation = dict(x=tf.constant([x]), frame=tf.zeros([1, 20, 20, 1], tf.uint8))
        nothing = (tf.zeros([1]), tf.zeros([1], tf.int64), tf.zeros([1], tf.bool), agent.initial_state(1))
        return float(agent.step(observation, *nothing, SEED).baseline[0])

    at_mean = baseline([1.0, 2.0])
    agent.statistics[0].assign([0.0, 0.0])
    assert baseline([0.0, 0.0]) == at_mean


def test_bytes_that_are_no_frames_are_normalised():
    """MiniGrid's maps hold codes from 0 to 10, which division by 255 would hide; as floats they are the same."""
    actions, unroll = gym.spaces.Discrete(2), make_unroll()
    codes = np.random.default_rng(1).integers(11, size=(6, 4, 7, 7, 3), dtype=np.uint8)
    results = []
    for dtype in (np.uint8, np.float32):
        agent = make_agent(Config(normalise_observations=True), gym.spaces.Box(0, 255, (7, 7, 3), dtype), actions)
        rows = unroll.env_outputs._replace(observation=tf.constant(codes.astype(dtype)))
        update_observation_statistics(agent, rows)
        nothing = (tf.zeros([4]), tf.zeros([4], tf.int64), tf.zeros([4], tf.bool), agent.initial_state(4))
        results.append(agent.step(rows.observation[0], *nothing, SEED).baseline)
        np.testing.assert_allclose(agent.statistics[0], codes[1:].mean((0, 1)), rtol=1e-5)
    np.testing.assert_array_equal(*results)
    with pytest.raises(SettingError, match="has no numbers but frames and bits"):
        environments.spec_of(Config(normalise_observations=True, env_id="ALE/Pong-v5"))


def test_a_mask_of_the_wrong_size_is_named():
    class Wrong(gym.Env):
        observation_space = gym.spaces.Dict(action_mask=gym.spaces.MultiBinary(3), x=gym.spaces.Box(-1, 1, (1,)))
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return self.observation_space.sample(), {}

    gym.register("tests/WrongMask-v0", Wrong, disable_env_checker=True)
    with pytest.raises(SettingError, match=r"its action_mask has 3 entries, but Discrete\(2\) needs 2"):
        environments.spec_of(Config(env_id="tests/WrongMask-v0"))


@pytest.mark.parametrize("kind", [gym.spaces.Tuple, lambda parts: gym.spaces.Dict(a=parts[0], b=parts[1])])
def test_a_mask_in_parts_is_refused(kind):
    class InParts(gym.Env):
        observation_space = gym.spaces.Dict(
            action_mask=kind((gym.spaces.MultiBinary(3), gym.spaces.MultiBinary(3))), x=gym.spaces.Box(-1, 1, (1,))
        )
        action_space = gym.spaces.MultiDiscrete([3, 3])

        def reset(self, *, seed=None, options=None):
            return self.observation_space.sample(), {}

    gym.register("tests/MaskInParts-v0", InParts, disable_env_checker=True)
    environments.clear_caches()
    with pytest.raises(SettingError, match=r"its action_mask is .*; must be one MultiBinary"):
        environments.spec_of(Config(env_id="tests/MaskInParts-v0"))


@pytest.mark.parametrize("info", [{}, {"action_mask": None}])
def test_without_a_mask_in_a_later_info_everything_is_possible(info):
    class Forgetful(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (1,))
        action_space = gym.spaces.Discrete(3)

        def reset(self, *, seed=None, options=None):
            return np.zeros(1, np.float32), {"action_mask": np.array([0, 1, 0], np.int8)}

        def step(self, action):
            return np.zeros(1, np.float32), 0.0, True, False, info

    gym.register("tests/Forgetful-v0", Forgetful, disable_env_checker=True)
    environments.clear_caches()
    environment = environments.make_vector_environment(Config(env_id="tests/Forgetful-v0"), 1, 0, 1)
    assert environment.reset().observation["action_mask"].tolist() == [[0, 1, 0]]
    assert environment.step(np.ones(1, np.int64)).observation["action_mask"].tolist() == [[1, 1, 1]]


def test_free_parameters_are_learned_weights_at_the_end():
    agent = make_agent(Config(), gym.spaces.Box(-1, 1, (3,)), gym.spaces.Box(-1, 1, (2,)))
    assert agent.variables[-1].shape == [2]
    assert isinstance(agent.distribution, distributions.Normal)
    agent.variables[-1].assign([1.0, -1.0])
    step = agent.step(
        tf.zeros([4, 3]), tf.zeros([4]), tf.zeros([4, 2]), tf.zeros([4], tf.bool), agent.initial_state(4), SEED
    )
    np.testing.assert_array_equal(step.parameters[:, 2:], [[1.0, -1.0]] * 4)


@pytest.mark.parametrize("network", ["shallow", "deep"])
def test_centred_frames(network):
    """With the mean frame subtracted, frames that equal it are all zeros to the network."""
    space = gym.spaces.Box(0, 255, (2, 36, 36), np.uint8)  # Channels first.
    agent = make_agent(Config(network=network, centre_frames=True), space, gym.spaces.Discrete(2))
    plain = make_agent(Config(network=network), space, gym.spaces.Discrete(2))
    assert len(agent.statistics) == 4, "two trunks, mean and count each"
    frames = np.random.default_rng(1).integers(256, size=(6, 4, 2, 36, 36), dtype=np.uint8)
    unroll = make_unroll()
    rows = unroll.env_outputs._replace(observation=tf.constant(frames))
    update_observation_statistics(agent, rows)
    update_observation_statistics(agent, rows._replace(observation=tf.constant(255 - frames)))
    mean = agent.statistics[0].numpy()
    np.testing.assert_allclose(mean, np.full([36, 36, 2], 127.5), rtol=1e-5)
    agent.statistics[0].assign(np.moveaxis(frames[0, 0].astype(np.float32), 0, -1))

    def baseline(agent, frame):
        nothing = (tf.zeros([1]), tf.zeros([1], tf.int64), tf.zeros([1], tf.bool), agent.initial_state(1))
        return float(agent.step(tf.constant(frame[np.newaxis]), *nothing, SEED).baseline[0])

    agent.statistics[2].assign(agent.statistics[0])
    np.testing.assert_allclose(baseline(agent, frames[0, 0]), 0, atol=1e-5)
    assert abs(baseline(plain, frames[0, 0])) > 1e-3
    np.testing.assert_allclose(baseline(plain, np.zeros_like(frames[0, 0])), 0, atol=1e-6)


def test_returns_are_divided_in_the_loss():
    """With spreads of 2 and 10 for two tasks the loss is that of rewards that were divided by these."""
    space, actions = gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(3)
    config = Config(normalise_returns=True, reward_clipping="none")
    agent = make_agent(config, space, actions, num_tasks=2)
    unroll = make_unroll()._replace(task=tf.constant([0, 1, 1, 0]))
    rows = unroll.env_outputs
    divided = unroll._replace(env_outputs=rows._replace(reward=rows.reward / [2.0, 10.0, 10.0, 2.0]))
    costs = LossCosts(entropy=0.01, baseline=0.5, kl=0.0, teacher=0.0)
    objective = Objective(Impala(), agent)

    def total(batch):
        return float(objective.evaluate(batch, all_fresh(B), costs, None).metrics[0])

    expected = total(divided)
    agent.statistics[1].assign([4.0, 100.0])
    np.testing.assert_allclose(total(unroll), expected, rtol=1e-5)
    assert abs(expected - total(divided)) > 1e-3


def test_each_task_has_its_own_spread_of_returns():
    """Returns of task 1 are ten times those of task 0, and so is its spread."""
    space, actions = gym.spaces.Box(-1, 1, (1,)), gym.spaces.Discrete(3)
    agent = make_agent(Config(normalise_returns=True), space, actions, num_tasks=3)
    unroll = make_unroll()
    task = np.arange(unroll.task.shape[0], dtype=np.int32) % 2
    returns = np.random.default_rng(0).normal(size=unroll.env_outputs.first.shape).astype(np.float32)
    returns = np.repeat(returns[:, :1], len(task), axis=1) * np.where(task == 1, 10, 1)
    first = np.zeros_like(unroll.env_outputs.first, bool)
    rows = unroll.env_outputs._replace(discounted_return=returns.astype(np.float32), first=first)
    update_return_statistics(agent, tf.nest.map_structure(tf.constant, rows), tf.constant(task))
    scale = agent.reward_scale(tf.constant([0, 1, 1, 2])).numpy()
    np.testing.assert_allclose(scale[:2], 1 / returns[1:, :2].std(axis=0), rtol=1e-4)
    np.testing.assert_allclose([scale[0] / scale[1], scale[2], scale[3]], [10, scale[1], 1], rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(centre_frames=True), "--centre_frames=true: CartPole-v1 has no frames"),
        (dict(normalise_observations=True, env_id="FrozenLake-v1"), "--normalise_observations=true: FrozenLake-v1 has"),
        (dict(xla="on", env_id=f"{ID}Nested-v0"), "--xla=on: .* has texts"),
        (dict(action_bounds="tanh"), "--action_bounds=tanh: CartPole-v1 has no Box action"),
        (dict(action_scale="predicted"), "--action_scale=predicted: CartPole-v1 has no Box action"),
        (dict(network="math:pi"), "--network=math:pi: is no function"),
    ],
)
def test_settings_that_would_do_nothing(settings, message):
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(**settings))


def test_a_torso_with_untrained_variables_is_refused():
    def torso(space):
        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(8), keras.layers.BatchNormalization()])

    with pytest.raises(SettingError, match="variables that are not trained"):
        make_agent(Config(), gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2), torso)
    config = Config(network="tests.spaces.test_actions:no_torso")
    with pytest.raises(SettingError, match="returned function; must be a Keras layer"):
        make_agent(config, gym.spaces.Box(-1, 1, (3,)), gym.spaces.Discrete(2))


def no_torso(space):
    return lambda x: x


def test_masks_in_the_form_of_their_space():
    space = gym.spaces.Dict(
        a=gym.spaces.Discrete(2), b=gym.spaces.Box(-1, 1, (2,)), c=gym.spaces.Tuple([gym.spaces.MultiDiscrete([2, 3])])
    )
    mask = dict(a=np.array([1, 0]), b=None, c=((np.array([0, 1]), np.array([1, 1, 0])),))
    assert masks.flat_mask(space, mask).tolist() == [1, 0, 0, 1, 1, 1, 0]
    with pytest.raises(ValueError, match="a mask of 3 entries"):
        masks.flat_mask(gym.spaces.Discrete(2), np.ones(3))
