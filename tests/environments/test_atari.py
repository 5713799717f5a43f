"""Atari's settings, frames and lives."""

import hashlib
import importlib.metadata

import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.types import EnvOutput
from tests.support.environments import PONG, needs_envpool
from tests.support.vectors import check_types, make_vector, rollout


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


def test_atari_as_ram():
    spec = environments.spec_of(Config(atari_ram=True, **PONG))
    assert (spec.observation_space.shape, spec.vectorization) == ((128,), "sync")


@pytest.mark.parametrize("vectorization", ["ale", "sync", pytest.param("envpool", marks=needs_envpool)])
def test_a_limit_of_frames(vectorization):
    rows = rollout(make_vector(num_envs=1, vectorization=vectorization, noop_max=1, max_episode_frames=40, **PONG), 12)
    assert not rows.terminated.any()
    # The first frame and a no-op may count.
    assert np.flatnonzero(rows.truncated[:, 0])[0] in (9, 10)


def test_whole_games_do_not_end_with_a_life():
    settings = dict(env_id="ALE/Breakout-v5", num_action_repeats=4, life_loss_ends_episode=True)

    def ends(whole_games):
        environment = environments.make_vector_environment(Config(**settings), 1, 0, 2, whole_games=whole_games)
        return rollout(environment, 100, lambda t, n: np.full(n, t % 2)).terminated.any()

    assert ends(False)
    assert not ends(True)


def test_tasks_of_a_partial_vector():
    config = Config(env_id="ALE/Pong-v5,ALE/Breakout-v5", full_action_set=True, envs_per_step=1)
    environment = environments.make_partial_environment(config, 1, 1, 2)
    assert environment.tasks.tolist() == [1, 1]
    environment.close()
