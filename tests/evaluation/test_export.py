"""The signatures of an export: the agent's own step, greedy and sampled, as the environment takes it."""

import types

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config, SettingError
from impala_tf.evaluation.export import ExportedAgent, export
from impala_tf.evaluation.video import Panel
from impala_tf.networks import make_agent
from impala_tf.types import EnvOutput

OBSERVATION = gym.spaces.Box(-1, 1, (4,), np.float32)
SEED = np.array([1, 2], np.int32)


def step_of(tmp_path, action_space, scale=0.5, **settings):
    """(outputs of the export, the agent, what it got) for a batch of 3. scale: standard deviation of its weights."""
    agent = make_agent(Config(**settings), OBSERVATION, action_space)
    random = np.random.default_rng(1)
    for variable in agent.variables:
        if len(variable.shape) > 1:
            variable.assign(random.normal(0, scale, variable.shape))
    export(agent, tmp_path / "saved_model", {})
    exported = ExportedAgent(tmp_path / "saved_model")
    distribution = agent.distribution
    inputs = (
        random.uniform(-1, 1, [3, 4]).astype(np.float32),
        np.array([1.0, 2.0, 3.0], np.float32),
        np.ones([3, *distribution.action_shape], distribution.action_dtype.as_numpy_dtype),
        np.array([False, True, False]),
        tf.constant(random.normal(0, 1, [3, agent.state_size]), tf.float32),
        SEED,
    )
    return exported.step(*inputs), agent, inputs


@pytest.mark.parametrize("settings", [{}, dict(core="lstm", core_size=5, use_last_action_and_reward=True)])
def test_an_export_does_what_the_agent_does(tmp_path, settings):
    out, agent, inputs = step_of(tmp_path, gym.spaces.Discrete(3), **settings)
    step = agent.step(*[tf.convert_to_tensor(x) for x in inputs])
    np.testing.assert_allclose(out["policy_parameters"], step.parameters, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["baseline"], step.baseline, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["core_state"], step.core_state, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(out["action"], step.action)
    np.testing.assert_array_equal(out["greedy_action"], np.argmax(out["policy_parameters"], axis=-1))
    np.testing.assert_array_equal(out["greedy_environment_action"], out["greedy_action"])
    np.testing.assert_array_equal(out["environment_action"], out["action"])


def test_popart_has_a_value_of_each_task_in_units_of_its_rewards(tmp_path):
    """The export and the video's panel, which draws that of the task that is played."""
    agent = make_agent(Config(popart=True), OBSERVATION, gym.spaces.Discrete(3), num_tasks=2)
    mean, variance = agent.statistics
    mean.assign([100.0, -3.0])
    variance.assign([400.0, 0.25])
    export(agent, tmp_path / "saved_model", {})
    inputs = (np.ones([1, 4], np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64), np.zeros(1, bool))
    out = ExportedAgent(tmp_path / "saved_model").step(*inputs, tf.zeros([1, 0]), SEED)
    step = agent.step(*[tf.convert_to_tensor(x) for x in (*inputs, np.zeros([1, 0], np.float32), SEED)])
    assert out["baseline"].shape == [1, 2]
    np.testing.assert_allclose(out["baseline"], step.baseline, rtol=1e-5)
    assert abs(out["baseline"][0, 0] - 100) < 60
    panel = Panel(gym.spaces.Discrete(3), [], task=1)
    zeros = np.zeros(1)
    panel.add(EnvOutput(zeros, zeros, zeros, zeros, zeros, zeros, zeros, zeros), out, "")
    assert panel._values == [float(out["baseline"][0, 1])]


@pytest.mark.parametrize("kind", ["", "greedy_"])
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_what_a_box_environment_takes_is_in_its_bounds(tmp_path, kind, scale):
    """Actions are in units of half the distance of the bounds, from their middle; the environment's are clipped."""
    space = gym.spaces.Box(np.array([-1.0, 2.0], np.float32), np.array([1.0, 6.0], np.float32))
    out, agent, _ = step_of(tmp_path, space, scale)
    action, taken = out[f"{kind}action"].numpy(), out[f"{kind}environment_action"].numpy()
    np.testing.assert_allclose(taken, np.clip([0, 4] + action * [1, 2], space.low, space.high), rtol=1e-5)
    outside = np.abs(action) > 1
    assert outside.any() == (scale == 1.0), "a case with actions outside of the bounds and one without"
    np.testing.assert_allclose(out["greedy_action"], agent.distribution.mode(out["policy_parameters"]))
    assert not np.array_equal(out["action"], out["greedy_action"])


def test_initial_states_and_actions_are_zeros(tmp_path):
    agent = make_agent(Config(core="lstm", core_size=5), OBSERVATION, gym.spaces.Box(-1, 1, (2,)))
    export(agent, tmp_path / "saved_model", {})
    exported = ExportedAgent(tmp_path / "saved_model")
    np.testing.assert_array_equal(exported.initial_state(3), np.zeros([3, agent.state_size]))
    np.testing.assert_array_equal(exported.initial_action(3), np.zeros([3, 2], np.float32))
    assert exported.initial_action(3).dtype == np.float32


SPACES = (gym.spaces.Box(-1, 1, (2, 3), np.float32), gym.spaces.Discrete(4))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The export of an agent for `SPACES`."""
    directory = tmp_path_factory.mktemp("spaces") / "saved_model"
    export(make_agent(Config(), *SPACES), directory, {})
    return ExportedAgent(directory)


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        (gym.spaces.Box(-1, 1, (3, 2), np.float32), SPACES[1]),
        (gym.spaces.Box(-1, 1, (2, 4), np.float32), SPACES[1]),
        (gym.spaces.Box(0, 9, (2, 3), np.int32), SPACES[1]),
        (gym.spaces.Tuple([SPACES[0]]), SPACES[1]),
        (SPACES[0], gym.spaces.Discrete(5)),
        (SPACES[0], gym.spaces.MultiBinary(2)),
        (SPACES[0], gym.spaces.Box(-1, 1, (2,), np.float32)),
    ],
)
def test_spaces_other_than_the_agents_are_refused(exported, observation, action):
    exported.check_fits(types.SimpleNamespace(observation_space=SPACES[0], action_space=SPACES[1]), "right")
    with pytest.raises(SettingError, match=r"^--env_id=wrong: its observations .* do not fit the agent, which takes "):
        exported.check_fits(types.SimpleNamespace(observation_space=observation, action_space=action), "wrong")
