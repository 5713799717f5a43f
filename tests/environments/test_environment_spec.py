"""What is found out about environments before a run, and what is refused in one line."""

import sys

import pytest

from impala_tf import environments
from impala_tf.config import Config, SettingError
from tests.support.environments import PONG, TESTS
from tests.support.vectors import check_types, make_vector, rollout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"env_id": "CartPol-v1"}, r"--env_id=CartPol-v1: unknown environment .*did you mean CartPole-v1"),
        ({"env_id": "cartpole-v1"}, r"did you mean CartPole-v1"),
        ({"env_id": "no_such_module:Env-v0"}, r"no_such_module cannot be imported: .*; run where `import no_such_"),
        ({"network": "deep"}, r"--network=deep: needs an observation of shape .*; use --network=mlp"),
        (
            {"network": "shallow", "env_id": "MinAtar/Asterix-v1"},
            r"with at least 20x20 pixels, but MinAtar/Asterix-v1 has .*; use --network=minatar",
        ),
        (
            {"env_id": f"{TESTS}Rounded-v0"},
            r"its action space Box\(.* is a Box of int32; supported: Discrete, MultiDiscrete",
        ),
        (
            {"env_id": f"{TESTS}Unsupported-v0"},
            r"a part of its observation space Sequence\(.* is not supported; supported: Box, Discrete",
        ),
    ],
)
def test_what_cannot_be_used_is_named(settings, message):
    with pytest.raises(SettingError, match=message) as error:
        environments.spec_of(Config(**settings))
    assert "\n" not in str(error.value)


def test_few_environments_step_one_by_one():
    """A native vector costs as much for one as for dozens."""
    assert environments.spec_of(Config(num_envs_per_actor=1)).vectorization == "sync"
    assert environments.spec_of(Config(num_envs_per_actor=4)).vectorization == "native"


@pytest.mark.parametrize("settings", [dict(num_action_repeats=2), dict(max_episode_frames=7)])
def test_native_vectors_are_not_taken_for_what_they_cannot_do(settings):
    assert environments.spec_of(Config(**settings)).vectorization == "sync"
    with pytest.raises(SettingError, match="--vectorization=native: CartPole-v1 has no vector form of its own that"):
        environments.spec_of(Config(vectorization="native", **settings))


def test_native_vectors_must_exist():
    with pytest.raises(SettingError, match="--vectorization=native: Acrobot-v1 has no vector form of its own"):
        environments.spec_of(Config(env_id="Acrobot-v1", vectorization="native"))


@pytest.mark.parametrize(
    ("package", "settings", "message"),
    [
        ("ale_py", PONG, r"--env_id=ALE/Pong-v5: ale-py is not installed: pip install 'impala_tf\[atari\]'"),
        ("cv2", dict(vectorization="sync", **PONG), r"OpenCV is not installed: pip install 'impala_tf\[atari\]'"),
        ("minigrid", dict(env_id="MiniGrid-Empty-5x5-v0"), r"MiniGrid is not installed: pip install .*minigrid"),
        ("minatar.gym", dict(env_id="MinAtar/Asterix-v3"), r"MinAtar is not installed: pip install .*minatar"),
        ("envpool", dict(vectorization="envpool"), r"EnvPool is not installed: pip install 'impala_tf\[envpool\]'"),
    ],
)
def test_missing_packages_name_their_extra(package, settings, message, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(vectorization="ale"), r"--vectorization=ale: needs an ALE id, such as ALE/Pong-v5"),
        (dict(vectorization="native", **PONG), r"--vectorization=native: ALE/Pong-v5 has no vector form of its own"),
        (dict(envs_per_step=2), r"--envs_per_step=2: works with --vectorization=ale or envpool; CartPole-v1 is"),
        (dict(life_loss_ends_episode=True), r"--life_loss_ends_episode=true: does nothing without an ALE id"),
        (
            dict(frame_stack=2),
            r"--frame_stack=2: does nothing without an ALE id, such as ALE/Pong-v5; given: CartPole-v1",
        ),
        (dict(noop_max=1, atari_preprocessing=False, **PONG), r"--noop_max=1: .* without --atari_preprocessing"),
        (dict(noop_max=1, atari_ram=True, **PONG), r"--noop_max=1: .* without --atari_preprocessing and frames"),
        (
            dict(env_threads=2),
            r"--env_threads=2: works with --vectorization=ale or envpool; CartPole-v1 is stepped by n",
        ),
        (dict(env_id="ALE/Ping-v5"), r"unknown environment .*did you mean ALE/Pong-v5"),
    ],
)
def test_back_ends_that_do_not_fit(settings, message):
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(**settings))


@pytest.mark.parametrize(("version", "num_actions"), [("v0", 6), ("v1", 3)])
def test_minatar(version, num_actions):
    spec = environments.spec_of(Config(env_id=f"MinAtar/Breakout-{version}", network="minatar"))
    assert (spec.observation_space.shape, spec.action_space.n) == ((10, 10, 4), num_actions)
    rows = rollout(make_vector(f"MinAtar/Breakout-{version}"), 200)
    check_types(rows)
    assert rows.observation.dtype == bool
    assert rows.first[1:].any()
