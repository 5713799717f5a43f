"""A mistake in a person's own environment or network is told in one line that names it."""

import re
import time
import types

import gymnasium as gym
import keras
import numpy as np
import pytest
import tensorflow as tf

import impala_tf
from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.environments.rows import EpisodeRows
from impala_tf.environments.task import SINGLE_TASK
from impala_tf.networks import make_agent
from impala_tf.spaces import observation_spaces
from impala_tf.support import startup
from tests.support.environments import COUNTING, TESTS

L = keras.layers
SMALL = dict(num_actors=1, num_envs_per_actor=2, batch_size=2, unroll_length=5, hidden_sizes=(8,), xla="off")
FRAME = gym.spaces.Box(0, 255, (4, 4, 1), np.uint8)
SPACE = gym.spaces.Dict(frame=FRAME, vector=gym.spaces.Box(-9, 9, (3,)), more=gym.spaces.Tuple([FRAME]))


def observation(**changed):
    return (
        dict(frame=np.zeros([4, 4, 1], np.uint8), vector=np.zeros(3, np.float32), more=(np.zeros([4, 4, 1], "u1"),))
        | changed
    )


class Wrong(gym.Env):
    """An environment whose reset and step can be replaced by wrong ones."""

    observation_space = SPACE
    action_space = gym.spaces.Discrete(3)

    def __init__(self, reset=lambda t: (observation(), {}), step=lambda t: (observation(), 0.0, t == 5, False, {})):
        self.do_reset, self.do_step = reset, step
        self.t = 0

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self.do_reset(self.t)

    def step(self, action):
        self.t += 1
        return self.do_step(self.t)


def own_bug(t):
    raise KeyError("my own bug")


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (dict(reset=lambda t: observation()), "its reset returned a dict; must be observation, info"),
        (
            dict(step=lambda t: (observation(), 0.0, False, {})),
            "its step returned 4 values; must be observation, reward",
        ),
        (dict(reset=own_bug), r"not reset and stepped: KeyError: 'my own bug' \(.*test_own_code.py, line \d+\)"),
        (
            dict(reset=lambda t: (observation(frame=np.zeros([4, 4, 1], np.float32)), {})),
            "observation of its reset is not of its observation space: its part 'frame' has dtype float32, not uint8",
        ),
        (
            dict(step=lambda t: (observation(more=(np.zeros([4, 4], np.uint8),)), 0.0, False, False, {})),
            r"observation of its step .*: its part 'more/0' has shape \(4, 4\), not \(4, 4, 1\)",
        ),
        (dict(reset=lambda t: (dict(frame=1), {})), r"has the parts \['frame'\], not \['frame', 'more', 'vector'\]"),
        (dict(reset=lambda t: ([1, 2, 3], {})), "is a list, not a dict"),
    ],
)
def test_environments(methods, message):
    gym.register("tests/Wrong-v0", lambda: Wrong(**methods), disable_env_checker=True)
    try:
        with pytest.raises(SettingError, match=rf"^--env_id=tests/Wrong-v0: .*{message}"):
            environments.spec_of(Config(env_id="tests/Wrong-v0"))
    finally:
        gym.registry.pop("tests/Wrong-v0")


def test_large_numbers_are_finite():
    large = np.full([2, 4], 3e38, np.float32)
    no_end = np.zeros(2, bool)
    row = EpisodeRows(2, SINGLE_TASK).row(slice(None), large[:, 0], no_end, no_end, large, {})
    assert (row.observation == large).all()


def test_what_the_vectors_cast_is_no_mistake():
    casts = observation(vector=[1, 2.0, 3], frame=np.zeros([4, 4, 1], bool))
    assert observation_spaces.misfit(SPACE, casts) is None
    assert observation_spaces.misfit(SPACE, types.MappingProxyType(casts | dict(besides=1))) is None
    assert observation_spaces.misfit(gym.spaces.Discrete(3), 2) is None
    assert observation_spaces.misfit(gym.spaces.Text(5), "hello") is None
    assert observation_spaces.misfit(gym.spaces.Text(5), 5) == "is a int, not a text"


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (lambda t: (observation(), float("nan") if t == 3 else 0.0, False, False, {}), "nan in its reward"),
        (
            lambda t: (observation(vector=np.full(3, np.inf if t == 3 else 0, "f")), 0.0, False, False, {}),
            "inf in its observation 'vector'",
        ),
    ],
)
def test_a_run_ends_with_the_environment_that_is_not_finite(tmp_path, step, what, capsys):
    config = Config(env_id="NotFinite-v0", total_environment_frames=10_000, logdir=str(tmp_path), **SMALL)
    with pytest.raises(SettingError, match=f"^--env_id=NotFinite-v0: gave {what}; replace it in the environment"):
        impala_tf.train(config, make_env=lambda: Wrong(step=step))
    assert (
        f"environment frames; this goes on: python -m impala_tf.experiment --logdir={tmp_path}"
        in capsys.readouterr().err
    )


class Unbatched(L.Layer):
    def call(self, observation):
        return tf.reshape(tf.cast(observation["vector"], tf.float32), [1, -1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda space: None, "returned NoneType; must be a Keras layer"),
        (lambda: None, r"failed: TypeError: .* takes 0 positional arguments but 1 was given"),
        (lambda space: own_bug(0), r"failed: KeyError: 'my own bug' \(.*test_own_code.py, line \d+\)"),
        (lambda space: keras.Sequential([L.Flatten(), L.Dense(3)]), "its layer failed on two observations: "),
        (
            lambda space: L.Lambda(lambda x: x["vector"][:, None]),
            r"made float32 \[2, 1, 3\] of two observations; must be",
        ),
        (lambda space: L.Lambda(lambda x: x["vector"][:, 0]), r"made float32 \[2\] of two observations; must be"),
        (lambda space: Unbatched(), r"made float32 \[1, 6\] of two observations; must be float32 \[2, F\]"),
        (lambda space: L.Lambda(lambda x: tf.cast(x["vector"], tf.int32)), r"made int32 \[2, 3\] of two observations"),
        (lambda space: L.Lambda(lambda x: [x["vector"]]), "made a list of two observations"),
    ],
)
def test_networks(make, message):
    with pytest.raises(SettingError, match=f"^make_torso: .*{message}") as error:
        make_agent(Config(), SPACE, gym.spaces.Discrete(2), make)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_modules_that_fail(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_module.py").write_text("import json\njson.loads('{')\n")
    place = r"JSONDecodeError: .* \(.*failing_module.py, line 2\)"
    with pytest.raises(SettingError, match=rf"^--env_id=failing_module:A-v0: .* cannot be imported: {place}$"):
        environments.spec_of(Config(env_id="failing_module:A-v0"))
    with pytest.raises(SettingError, match=rf"^--network=failing_module:f: cannot be imported \({place}\)$"):
        environments.spec_of(Config(network="failing_module:f"))


def test_a_module_that_starts_a_process_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "starting_module.py").write_text("import subprocess\nserver = subprocess.Popen(['sleep', '60'])\n")
    began = time.monotonic()
    startup.import_own("starting_module").server.kill()
    assert time.monotonic() - began < 30


def test_an_environment_that_was_mended_is_looked_at_anew(tmp_path):
    """As in a notebook, the same name is given twice: first for a broken environment, then for one with a mask."""
    mask = {"action_mask": np.array([1, 1, 0], np.int8)}
    config = Config(env_id="Mended-v0", total_environment_frames=200, logdir=str(tmp_path), **SMALL)
    with pytest.raises(SettingError, match="KeyError: 'my own bug'"):
        impala_tf.train(config, make_env=lambda: Wrong(reset=own_bug))
    taken = set()

    class Mended(Wrong):
        def step(self, action):
            taken.add(int(action))
            return super().step(action)

    def step(t):
        return observation(), 0.0, t == 5, False, mask

    impala_tf.train(config, make_env=lambda: Mended(lambda t: (observation(), mask), step))
    assert taken == {0, 1}


def test_a_wrong_network_leaves_no_log_directory(tmp_path):
    config = Config(env_id=COUNTING, logdir=str(tmp_path / "run"))
    with pytest.raises(SettingError, match=r"^make_torso: returned NoneType"):
        impala_tf.train(config, make_torso=lambda space: None)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    with pytest.raises(SettingError, match=r"^make_torso: returned NoneType"):
        impala_tf.train(config, make_torso=lambda space: None)
    assert (tmp_path / "run").exists(), "it was there before"


@pytest.mark.parametrize("name", ["make_env", "make_torso", "shape_rewards"])
def test_what_is_no_function(name):
    with pytest.raises(SettingError, match=re.escape(f"{name}: must be a function or a class, not a Wrong")):
        impala_tf.train(Config(env_id="Mine-v0"), **{name: Wrong()})


def test_ids_that_are_not_known_from_here():
    with pytest.raises(SettingError, match=r"an id of your own needs its module: my_module:MyEnv-v0$"):
        environments.spec_of(Config(env_id="Countin-v0"))
    with pytest.raises(SettingError, match=r"did you mean tests/Counting-v0 [^;]*\?$"):
        environments.spec_of(Config(env_id=f"{TESTS}Countin-v0"))


def test_observations_too_large_for_the_network_are_named():
    class Large(gym.Env):
        observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float64)
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.array([0.0, 1e200]), {}

        def step(self, action):
            return np.zeros(2), 0.0, False, False, {}

    gym.register("tests/Large-v0", Large, disable_env_checker=True)
    with pytest.raises(SettingError, match="--env_id=tests/Large-v0: gave inf in its observation"):
        environments.make_vector_environment(Config(env_id="tests/Large-v0"), 1, 0, 1).reset()


@pytest.mark.parametrize(
    ("space", "reward", "message"),
    [
        (gym.spaces.Box(-1, 1, (1,)), np.zeros(1), r"the reward of its step has the shape \(1,\); must be one number"),
        (gym.spaces.Box(-1, 1, (0,)), 0.0, r"its observation space Box.* has a part without any numbers"),
        (gym.spaces.Dict(action_mask=gym.spaces.MultiBinary(2)), 0.0, "has nothing but the action_mask"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(space, reward, message):
    class Odd(gym.Env):
        observation_space = space
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return space.sample(), {}

        def step(self, action):
            return space.sample(), reward, False, False, {}

    gym.register("tests/Odd-v0", Odd, disable_env_checker=True)
    environments.clear_caches()
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(env_id="tests/Odd-v0"))
