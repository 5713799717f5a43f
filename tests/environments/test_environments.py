import hashlib
import importlib.metadata
import os
import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.types import EnvOutput
from tests.support.environments import COUNTING, LIMITED, TESTS, needs_envpool
from tests.support.vectors import make_vector, rollout


def check_types(rows):
    assert rows.reward.dtype == rows.episode_return.dtype == np.float32
    assert rows.terminated.dtype == rows.truncated.dtype == rows.first.dtype == bool
    assert rows.episode_steps.dtype == np.int32


@pytest.mark.parametrize(("env_id", "limit"), [(COUNTING, False), (LIMITED, True)])
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_rows_against_hand_stepped_episodes(env_id, limit, vectorization):
    """The row that ends an episode carries its final observation; the next begins one, whatever the action was."""
    rows = rollout(make_vector(env_id, vectorization=vectorization), 13)
    check_types(rows)
    # Episode 0 has 5 steps, episode 1 has 6: rows 0-5 and 6-12; row 13 begins episode 2.
    expected = [(0, t) for t in range(6)] + [(1, t) for t in range(7)] + [(2, 0)]
    ended = rows.truncated if limit else rows.terminated
    assert not (rows.terminated if limit else rows.truncated).any()
    for i in range(3):
        np.testing.assert_array_equal(rows.observation[:, i, :2], expected)
        assert np.flatnonzero(ended[:, i]).tolist() == [5, 12]
        assert np.flatnonzero(rows.first[:, i]).tolist() == [0, 6, 13]
        np.testing.assert_array_equal(rows.reward[:, i], [t for _, t in expected])
        assert rows.episode_return[5, i] == 15
        assert rows.episode_return[12, i] == 21
        assert (rows.episode_steps[5, i], rows.episode_steps[6, i], rows.episode_steps[12, i]) == (5, 0, 6)


@pytest.mark.parametrize("vectorization", ["native", pytest.param("envpool", marks=needs_envpool)])
def test_cartpole_vectors_against_hand_stepped_physics(vectorization):
    """The vector form, row by row, against gymnasium's single environment started in the same state."""
    assert environments.spec_of(Config()).vectorization == "native"
    rows = rollout(make_vector("CartPole-v1", num_envs=4, vectorization=vectorization), 600)
    check_types(rows)
    single = gym.make("CartPole-v1").unwrapped
    single.reset()
    steps = 0
    for i in range(4):
        for t in range(600):
            if rows.first[t + 1, i]:
                assert rows.terminated[t, i] or rows.truncated[t, i]
                assert rows.reward[t + 1, i] == rows.episode_return[t + 1, i] == rows.episode_steps[t + 1, i] == 0
                continue
            single.state = rows.observation[t, i].astype(np.float64)
            single.steps_beyond_terminated = None
            observation, reward, terminated, _, _ = single.step(t % 2)
            np.testing.assert_allclose(rows.observation[t + 1, i], observation, atol=1e-5)
            assert rows.terminated[t + 1, i] == terminated
            assert rows.reward[t + 1, i] == reward
            steps += 1
    assert rows.terminated.sum() > 20
    assert steps + rows.first[1:].sum() == 4 * 600


@pytest.mark.parametrize("vectorization", ["native", pytest.param("envpool", marks=needs_envpool)])
def test_cartpole_vectors_end_by_their_time_limit(vectorization):
    environment = make_vector("CartPole-v1", num_envs=2, vectorization=vectorization)
    row = environment.reset()
    for _ in range(500):
        # A controller that holds the pole: push to where it falls.
        action = (row.observation[:, 2] + 0.5 * row.observation[:, 3] + 0.1 * row.observation[:, 1] > 0).astype(int)
        row = environment.step(action)
    assert row.truncated.all()
    assert not row.terminated.any()
    assert row.episode_return.tolist() == [500, 500]
    final = row.observation
    row = environment.step(np.zeros(2, int))
    assert row.first.all()
    assert np.abs(row.observation).max() <= 0.05 < np.abs(final).max()


def pendulum_state(observation):
    cos, sin, speed = observation
    return np.array([np.arctan2(sin, cos), speed])


@pytest.mark.parametrize("vectorization", ["sync", "async", pytest.param("envpool", marks=needs_envpool)])
@pytest.mark.parametrize(
    ("env_id", "state_of", "unit", "tolerance"),
    [("MountainCar-v0", lambda observation: observation, 1, 1e-5), ("Pendulum-v1", pendulum_state, 2, 1e-3)],
)
def test_time_limits_against_hand_stepped_physics(env_id, state_of, unit, tolerance, vectorization):
    """Cut off after 200 steps, in the middle of a movement: the row of the end goes on from the row before it, the next
    is another start, and neither environment ends otherwise. unit: of an action, half the distance of the bounds."""
    single = gym.make(env_id).unwrapped
    actions = np.random.default_rng(0).uniform(-1, 1, size=(402, 2, 1)).astype(np.float32)
    if isinstance(single.action_space, gym.spaces.Discrete):
        actions = (actions[..., 0] > 0) * 2
    rows = rollout(make_vector(env_id, num_envs=2, vectorization=vectorization), 402, lambda t, _: actions[t])
    check_types(rows)
    assert not rows.terminated.any()
    single.reset()
    for i in range(2):
        assert np.flatnonzero(rows.truncated[:, i]).tolist() == [200, 401]
        assert np.flatnonzero(rows.first[:, i]).tolist() == [0, 201, 402]
        for t in range(402):
            if rows.first[t + 1, i]:
                assert np.abs(rows.observation[t + 1, i] - rows.observation[t, i]).max() > 10 * tolerance
                continue
            single.state = state_of(rows.observation[t, i].astype(np.float64))
            observation, reward, *_ = single.step(unit * actions[t, i])
            if vectorization == "envpool" and observation[-1] == 8:
                continue  # EnvPool's pendulum clips its speed after it has moved by it.
            np.testing.assert_allclose(rows.observation[t + 1, i], observation, atol=tolerance)
            np.testing.assert_allclose(rows.reward[t + 1, i], reward, atol=tolerance)


@pytest.mark.parametrize("vectorization", ["sync", pytest.param("envpool", marks=needs_envpool)])
def test_a_termination_in_the_step_of_the_time_limit(vectorization):
    """Some poles fall in the very step that is the last anyway. EnvPool does not tell (docs/environments.md)."""
    environment = make_vector("CartPole-v1", num_envs=32, vectorization=vectorization, max_episode_frames=9)
    rows = rollout(environment, 9, lambda t, n: np.zeros(n, int))
    fallen = np.abs(rows.observation[9, :, 2]) > 12 * 2 * np.pi / 360
    at_limit = rows.episode_steps[9] == 9
    assert rows.truncated[9][at_limit].all()
    both = fallen & at_limit
    assert both.sum() > 5
    assert (rows.terminated[9][both] == (vectorization != "envpool")).all()


@needs_envpool
@pytest.mark.parametrize("settings", [{}, dict(envs_per_step=2)])
def test_envpool_with_a_dict_observation(settings):
    config = Config(env_id="CheetahRun-v1", vectorization="envpool", **settings)
    made = environments.make_partial_environment if settings else environments.make_vector_environment
    environment = made(config, 1, 0, 4)
    row = environment.reset()
    row = row[1] if settings else row
    assert {name: part.shape[1:] for name, part in row.observation.items()} == {"position": (8,), "velocity": (9,)}
    environment.close()


@needs_envpool
@pytest.mark.parametrize("settings", [{}, dict(envs_per_step=2)])
def test_envpool_rows_have_the_dtype_of_the_space_and_no_reward_at_the_first(settings):
    for env_id, dtype in (("FrozenLake-v1", np.int64), ("CheetahRun-v1", np.float64)):
        config = Config(env_id=env_id, vectorization="envpool", max_episode_frames=7, **settings)
        made = environments.make_partial_environment if settings else environments.make_vector_environment
        environment = made(config, 1, 0, 4)
        spec = environments.spec_of(config)
        row = environment.reset()
        for _ in range(300):
            row = row[1] if settings else row
            parts = row.observation.values() if isinstance(row.observation, dict) else [row.observation]
            assert all(part.dtype == dtype for part in parts)
            assert not row.reward[row.first].any()
            actions = np.stack([spec.action_space.sample() for _ in row.first])
            row = environment.step(actions)
        environment.close()


@needs_envpool
def test_what_only_envpool_has_can_be_evaluated():
    config = Config(env_id="CheetahRun-v1", vectorization="envpool")
    environment = environments.make_vector_environment(config, 1, 0, 2, whole_games=True)
    environment.reset()
    environment.close()


def test_environments_in_processes_are_not_signalled_with_ours():
    environment = make_vector("CartPole-v1", num_envs=2, vectorization="async")
    processes = environment._env.processes
    environment.reset()
    assert all(os.getpgid(process.pid) != os.getpgid(0) for process in processes)
    environment.close()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize("leads_a_session", [False, True])
def test_environments_in_processes_leave_the_main_process_as_it_is(leads_a_session):
    """gymnasium makes the first environment in the main process as well, to learn its spaces.

    A process that leads a session, as a container's first does, may not even leave its group.
    """
    program = """if __name__ == "__main__":
        import os, signal
        from tests.support.vectors import make_vector
        before = os.getpgid(0), signal.getsignal(signal.SIGINT)
        make_vector("CartPole-v1", num_envs=1, vectorization="async").close()
        assert (os.getpgid(0), signal.getsignal(signal.SIGINT)) == before"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, start_new_session=leads_a_session, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("vectorization", ["native", "sync", pytest.param("envpool", marks=needs_envpool)])
def test_seeds(vectorization):
    def observations(**settings):
        return rollout(make_vector("CartPole-v1", vectorization=vectorization, **settings), 60).observation

    same = observations(seed=1, actor=0)
    np.testing.assert_array_equal(same, observations(seed=1, actor=0))
    assert not np.allclose(same[0], observations(seed=2, actor=0)[0])
    assert not np.allclose(same[0], observations(seed=1, actor=1)[0])
    assert len(np.unique(same[0, :, 0])) == 3, "environments of one actor start alike"


def test_hidden_velocities():
    spec = environments.spec_of(Config(env_id="impala_tf/CartPoleNoVelocity-v1"))
    assert spec.observation_space.shape == (2,)
    assert spec.vectorization == "native"
    hidden = rollout(make_vector("impala_tf/CartPoleNoVelocity-v1"), 20).observation
    shown = rollout(make_vector("CartPole-v1"), 20).observation
    np.testing.assert_array_equal(hidden, shown[..., [0, 2]])
    single = gym.make("impala_tf/CartPoleNoVelocity-v1")
    assert single.observation_space.contains(single.reset()[0])


def test_repeated_actions():
    rows = rollout(make_vector(COUNTING, num_action_repeats=2), 5)
    # Rewards 1 + 2, 3 + 4, 5 (the episode ends within the repeat), the reset, 1 + 2.
    np.testing.assert_array_equal(rows.reward[:, 0], [0, 3, 7, 5, 0, 3])
    assert rows.terminated[3, 0]
    assert rows.first[4, 0]


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


def test_native_vectors_must_exist():
    with pytest.raises(SettingError, match="--vectorization=native: Acrobot-v1 has no vector form of its own"):
        environments.spec_of(Config(env_id="Acrobot-v1", vectorization="native"))


def test_other_reset_modes_are_refused():
    vector = gym.vector.SyncVectorEnv(
        [lambda: gym.make("CartPole-v1")], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP
    )
    with pytest.raises(NotImplementedError, match="only gymnasium's NEXT_STEP"):
        environments.VectorEnvironment(vector, [1])


PONG = dict(env_id="ALE/Pong-v5", num_action_repeats=4)


def test_ale_vector_and_gymnasium_wrappers_play_the_same_game():
    """Same actions, same frames, rewards and ends, over the end of a game."""

    def play(vectorization):
        return rollout(
            make_vector(num_envs=2, vectorization=vectorization, noop_max=0, **PONG),
            1000,
            action=lambda t, n: np.array([t * 7 // 5 % 6, t % 3]),
        )

    ours, theirs = play("ale"), play("sync")
    check_types(ours)
    assert ours.observation.shape == (1001, 2, 4, 84, 84)
    assert ours.first[1:].any(), "no game ended"
    for name in EnvOutput._fields:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


def test_atari_settings_reach_the_games():
    assert environments.spec_of(Config(**PONG)).vectorization == "ale"
    assert environments.spec_of(Config(full_action_set=True, **PONG)).action_space.n == 18
    assert environments.spec_of(Config(frame_stack=2, **PONG)).observation_space.shape == (2, 84, 84)
    raw = environments.spec_of(Config(atari_preprocessing=False, **PONG))
    assert (raw.observation_space.shape, raw.vectorization) == ((210, 160, 3), "sync")
    environment = make_vector(num_envs=1, atari_preprocessing=False, **PONG)
    environment.reset()
    before = environment._env.envs[0].unwrapped.ale.getFrameNumber()
    for _ in range(10):
        environment.step(np.zeros(1, int))
    assert environment._env.envs[0].unwrapped.ale.getFrameNumber() - before == 40
    environment.close()
    still = lambda t, n: np.zeros(n, int)  # noqa: E731
    starts = rollout(make_vector(num_envs=6, **PONG), 1, still).observation[1]
    assert len(np.unique(starts.reshape(6, -1), axis=0)) > 1, "no random no-ops"

    def after_the_same_actions(sticky_actions):
        environment = make_vector(num_envs=4, noop_max=0, sticky_actions=sticky_actions, **PONG)
        rows = rollout(environment, 60, lambda t, n: np.full(n, 2 + t % 2))
        return len(np.unique(rows.observation[-1].reshape(4, -1), axis=0))

    assert after_the_same_actions(0.0) == 1 < after_the_same_actions(0.25)


@pytest.mark.parametrize(
    ("game", "known"),
    [("Pong", "450c37acf57e605d"), ("Breakout", "404c5e3d1a8be109"), ("Seaquest", "87a0fbb52e8d6686")],
)
def test_the_frames_are_those_that_the_recorded_curves_were_learned_from(game, known):
    """A tripwire: when an upgrade of ale-py changes frames or rewards, learn docs/results/atari.csv anew, then this."""
    settings = dict(env_id=f"ALE/{game}-v5", num_action_repeats=4, noop_max=0, full_action_set=True)
    rows = rollout(make_vector(num_envs=2, **settings), 300, lambda t, n: (t // 2 + np.arange(n)) % 18)
    digest = hashlib.sha256()
    for leaf in (rows.observation, rows.reward, rows.terminated):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    assert digest.hexdigest()[:16] == known, f"ale-py {importlib.metadata.version('ale-py')} shows other frames"


@pytest.mark.parametrize("vectorization", ["ale", "sync", pytest.param("envpool", marks=needs_envpool)])
def test_lost_lives(vectorization):
    """A life's end is `terminated` and nothing else: the game, its return and its length go on."""
    settings = dict(env_id="ALE/Breakout-v5", num_action_repeats=4, vectorization=vectorization, num_envs=2)

    def play(life_loss_ends_episode):
        environment = make_vector(life_loss_ends_episode=life_loss_ends_episode, **settings)
        return rollout(environment, 700, action=lambda t, n: (np.arange(n) + t // 3) % 4)

    games, lives = play(False), play(True)
    for name in set(EnvOutput._fields) - {"terminated"}:
        np.testing.assert_array_equal(getattr(games, name), getattr(lives, name), err_msg=name)
    assert games.terminated.any()
    assert (lives.terminated | ~games.terminated).all()
    # Five lives a game: four ends that are no ends of games.
    for i in range(2):
        whole = np.flatnonzero(games.terminated[:, i])[0]
        assert lives.terminated[: whole + 1, i].sum() == 5


@pytest.mark.parametrize(
    "settings", [dict(vectorization="ale", **PONG), pytest.param(dict(vectorization="envpool"), marks=needs_envpool)]
)
def test_parts_are_the_same_environments(settings):
    """Handed out in parts, each environment lives through what it lives through in the whole vector."""
    num_rows = 60
    settings = {"env_id": "CartPole-v1"} | settings
    whole = rollout(make_vector(**settings, num_envs=6), num_rows, lambda t, n: np.ones(n, int))
    config = Config(**settings, envs_per_step=2)
    environment = environments.make_partial_environment(config, 1, 0, 6)
    seen = [[] for _ in range(6)]
    envs, row = environment.reset()
    # On a busy machine a thread may sleep while the other environments make hundreds of steps.
    for _ in range(100_000):
        if min(map(len, seen)) > 20:
            break
        assert len(envs) == environment.num_ready == 2
        for i, leaves in zip(envs, zip(*row, strict=True), strict=True):
            seen[i].append(EnvOutput(*leaves))
        envs, row = environment.step(np.ones(2, int))
    environment.close()
    for i in range(6):
        count = min(len(seen[i]), num_rows)
        assert count > 20, "it was never ready"
        for name in EnvOutput._fields:
            mine = np.stack([getattr(row, name) for row in seen[i][:count]])
            np.testing.assert_array_equal(mine, getattr(whole, name)[:count, i], err_msg=name)


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


def test_atari_as_ram():
    spec = environments.spec_of(Config(atari_ram=True, **PONG))
    assert (spec.observation_space.shape, spec.vectorization) == ((128,), "sync")


@pytest.mark.parametrize(("version", "num_actions"), [("v0", 6), ("v1", 3)])
def test_minatar(version, num_actions):
    spec = environments.spec_of(Config(env_id=f"MinAtar/Breakout-{version}", network="minatar"))
    assert (spec.observation_space.shape, spec.action_space.n) == ((10, 10, 4), num_actions)
    rows = rollout(make_vector(f"MinAtar/Breakout-{version}"), 200)
    check_types(rows)
    assert rows.observation.dtype == bool
    assert rows.first[1:].any()


@needs_envpool
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(env_id="Foo-v1"), r"--env_id=Foo-v1: EnvPool has no such environment"),
        (dict(num_action_repeats=2), r"--num_action_repeats=2: EnvPool repeats actions on Atari only"),
        (dict(noop_max=0, **PONG), r"--noop_max=0: must be at least 1 with --vectorization=envpool"),
        (dict(atari_preprocessing=False, **PONG), r"--atari_preprocessing=false: EnvPool always preprocesses"),
        (dict(env_id="Pong-v5"), r"--env_id=Pong-v5: a game of Atari; give --env_id=ALE/Pong-v5"),
    ],
)
def test_what_envpool_cannot_do(settings, message):
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(vectorization="envpool", **settings))
