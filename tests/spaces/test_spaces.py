"""Observations of every space, from the environment through the queue into the network and out in the export."""

import csv
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.evaluation import evaluate_exports
from impala_tf.networks import make_agent
from impala_tf.spaces import observation_spaces
from tests.support.actors import make_actor, unrolls
from tests.support.distributions import SEED
from tests.support.environments import TESTS
from tests.support.paths import ROOT
from tests.support.runs import run

NESTED = f"{TESTS}Nested-v0"


def test_the_parts_of_a_nest_have_names_in_the_order_of_tensorflow():
    space = gym.make(NESTED).observation_space
    names = ["frame", "matrix", "numbers_0", "numbers_1", "numbers_2", "text"]
    assert list(observation_spaces.leaves(space)) == names
    flat = tf.nest.flatten(observation_spaces.zeros(space))
    for part, leaf in zip(flat, observation_spaces.leaves(space).values(), strict=True):
        assert part.shape == (leaf.shape or ())
    clash = gym.spaces.Dict({"a b": gym.spaces.Discrete(2), "a_b": gym.spaces.Discrete(3)})
    assert list(observation_spaces.leaves(clash)) == ["a_b", "a_b_"]
    assert list(observation_spaces.leaves(gym.spaces.Discrete(2))) == [""]


def test_names_of_parts_suit_a_saved_model():
    """Its inputs have names of ASCII that differ in more than case."""
    space = gym.spaces.Dict(
        {"X": gym.spaces.Discrete(2), "x": gym.spaces.Discrete(2), "gr\u00f6\u00dfe": gym.spaces.Discrete(2)}
    )
    assert list(observation_spaces.leaves(space)) == ["X", "gr__e", "x_"]
    assert list(observation_spaces.leaves(gym.spaces.Dict({1: gym.spaces.Discrete(2), 0: gym.spaces.Discrete(2)}))) == [
        "0",
        "1",
    ]


@pytest.mark.parametrize(
    ("shape", "network"),
    [((6, 2, 7), "mlp"), ((6, 7, 2), "minatar"), ((2, 6, 7), "minatar"), ((20, 5, 30), "minatar"), ((20, 2, 30), "mlp"),
     ((30, 20, 3), "shallow"), ((4, 84, 84), "shallow")],
)  # fmt: skip
def test_which_boxes_are_images(shape, network):
    """Height and width must be large enough, wherever the channels stand."""
    space = gym.spaces.Box(0, 255, shape, np.uint8)
    assert observation_spaces.network_for("auto", space) == network
    agent = make_agent(Config(separate_value_network=False), space, gym.spaces.Discrete(2))
    assert agent.variables


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int64])
def test_numbers_of_every_integer_type(dtype):
    space = gym.spaces.MultiDiscrete([3, 4], dtype=dtype)
    agent = make_agent(Config(), space, gym.spaces.Discrete(2))
    nothing = (tf.zeros([1]), tf.zeros([1], tf.int64), tf.zeros([1], tf.bool), agent.initial_state(1))
    baselines = [float(agent.step(tf.constant([x], dtype), *nothing, SEED).baseline[0]) for x in ([0, 0], [2, 3])]
    assert baselines[0] != baselines[1]


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_nested_observations_travel_through_the_queue(vectorization):
    actor, queue, agent = make_actor(NESTED, num_envs=4, batch_size=2, vectorization=vectorization)
    rows = unrolls(actor, queue, agent, 2)[1].env_outputs  # Rows 4 to 8 of episodes of 5 steps and a reset.
    actor.close()
    steps = np.array([4, 5, 0, 1, 2])[:, np.newaxis] * np.ones([1, 4])
    observation = rows.observation
    np.testing.assert_array_equal(observation["matrix"], np.broadcast_to(steps[..., None, None], (5, 4, 2, 3)))
    np.testing.assert_array_equal(observation["frame"][..., 0, 0, 0], steps)
    assert observation["frame"].dtype == np.uint8
    first, second, third = observation["numbers"]
    np.testing.assert_array_equal(first, 2 + steps)
    np.testing.assert_array_equal(second[..., 1], steps)
    np.testing.assert_array_equal(third[:, :, 1], steps == 1)
    assert observation["text"][:, 0].tolist() == [b"step number %d" % step for step in (4, 5, 0, 1, 2)]
    np.testing.assert_array_equal(rows.first[:, 0], [False, False, True, False, False])


def test_each_part_reaches_the_policy():
    space = gym.make(NESTED).observation_space
    agent = make_agent(Config(), space, gym.spaces.Discrete(3))
    env = gym.make(NESTED).unwrapped
    observation, _ = env.reset()
    env.t = 3
    changed = env.observe()

    def parameters(observation):
        batch = observation_spaces.as_arrays(space, gym.vector.utils.concatenate(
            space, [observation], gym.vector.utils.create_empty_array(space, 1)))  # fmt: skip
        batch = tf.nest.map_structure(tf.convert_to_tensor, batch)
        nothing = (tf.zeros([1]), tf.zeros([1], tf.int64), tf.zeros([1], tf.bool), agent.initial_state(1))
        return agent.step(batch, *nothing, SEED).parameters.numpy()

    before = parameters(observation)
    for name in observation:
        assert np.abs(parameters(observation | {name: changed[name]}) - before).max() > 1e-6, name
    for i in range(3):
        numbers = tuple(changed["numbers"][j] if i == j else observation["numbers"][j] for j in range(3))
        assert np.abs(parameters(observation | {"numbers": numbers}) - before).max() > 1e-6, i


@pytest.mark.parametrize(
    ("shape", "dtype", "network", "expected"),
    [
        ((84, 84, 4), np.uint8, "auto", "shallow"),
        ((4, 84, 84), np.uint8, "auto", "shallow"),
        ((10, 10, 6), bool, "auto", "minatar"),
        ((7, 7, 3), np.uint8, "auto", "minatar"),
        ((10, 10), np.float32, "auto", "mlp"),
        ((2, 30, 2), np.float32, "auto", "mlp"),
        ((84, 84, 4), np.uint8, "mlp", "mlp"),
        ((84, 84, 4), np.uint8, "deep", "deep"),
        ((4,), np.float32, "deep", "mlp"),
    ],
)
def test_the_network_of_a_part(shape, dtype, network, expected):
    assert observation_spaces.network_for(network, gym.spaces.Box(0, 1, shape, dtype)) == expected


@pytest.mark.parametrize(
    "settings", [dict(separate_value_network=False), dict(dynamic_batching=True, core="lstm", core_size=8)]
)
def test_a_run_with_every_observation_at_once(settings, tmp_path):
    """Trained, exported, evaluated; the agent earns 2 a step when it has learned, 1 at random."""
    run(tmp_path, env_id=NESTED, hidden_sizes=(16,), unroll_length=2, total_environment_frames=600, **settings)
    model = tmp_path / "saved_model"
    evaluate_exports.evaluate(
        [model], evaluate_exports.Options(num_episodes=8, env_id=NESTED), evaluate_exports.Files(tmp_path / "out.json")
    )
    signature = tf.saved_model.load(str(model)).signatures["step"].structured_input_signature[1]
    assert signature["observation_text"].dtype == tf.string
    assert signature["observation_frame"].shape == [None, 20, 22, 3]
    with (tmp_path / "metrics.csv").open() as file:
        assert float(list(csv.DictReader(file))[-1]["episodes"]) > 50
    with pytest.raises(ValueError, match=r"--env_id=CartPole-v1: .*do not fit the agent, which takes observation_"):
        evaluate_exports.evaluate(
            [model], evaluate_exports.Options(1, env_id="CartPole-v1"), evaluate_exports.Files(tmp_path / "out.json")
        )


def test_discrete_and_multi_discrete_become_one_hot():
    space = gym.spaces.MultiDiscrete([2, 3], start=[1, 0])
    agent = make_agent(Config(), space, gym.spaces.Discrete(2))
    assert agent.variables[0].shape == [5, 64]


def test_spec_of_an_image_environment_needs_no_flag():
    spec = environments.spec_of(Config(env_id=f"{TESTS}Pictures-v0"))
    assert spec.observation_space.shape == (36, 36, 1)


def test_the_example_of_an_own_environment(tmp_path, monkeypatch):
    """The three ways of its docstring, with fewer frames: by its id, with its network as a command, in Python."""
    run(tmp_path / "by id", env_id="examples.own_environment:Catch-v0", total_environment_frames=200)
    command = [sys.executable, "-m", "impala_tf.experiment", "--env_id=examples.own_environment:Catch-v0"]
    command += ["--network=examples.own_environment:make_torso", "--total_environment_frames=300", "--num_actors=1"]
    command += ["--unroll_length=5", "--xla=off", f"--logdir={tmp_path / 'as a command'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    from examples import own_environment

    monkeypatch.chdir(tmp_path)
    summary = own_environment.main(total_environment_frames=200_000)
    assert summary.mean_return > 0, "random play has -0.6"
    assert (summary.logdir.path / "saved_model" / "saved_model.pb").exists()


@pytest.mark.parametrize("network", ["no_such_module:make", "examples.own_environment:no_such_function"])
def test_a_network_that_does_not_exist(network):
    with pytest.raises(SettingError, match=f"--network={network}: cannot be imported"):
        environments.spec_of(Config(network=network))
