"""Vectors of every kind, row by row, against hand-stepped environments."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.types import EnvOutput
from tests.support.environments import COUNTING, LIMITED, PONG, needs_envpool
from tests.support.vectors import check_types, make_vector, rollout


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


def test_hidden_velocities():
    spec = environments.spec_of(Config(env_id="impala_tf/CartPoleNoVelocity-v1"))
    assert spec.observation_space.shape == (2,)
    assert spec.vectorization == "native"
    hidden = rollout(make_vector("impala_tf/CartPoleNoVelocity-v1"), 20).observation
    shown = rollout(make_vector("CartPole-v1"), 20).observation
    np.testing.assert_array_equal(hidden, shown[..., [0, 2]])
    single = gym.make("impala_tf/CartPoleNoVelocity-v1")
    assert single.observation_space.contains(single.reset()[0])


@pytest.mark.parametrize(("env_id", "limit"), [(COUNTING, False), (LIMITED, True)])
def test_repeated_actions(env_id, limit):
    rows = rollout(make_vector(env_id, num_action_repeats=2), 5)
    # Rewards 1 + 2, 3 + 4, 5 (the episode ends within the repeat), the reset, 1 + 2.
    np.testing.assert_array_equal(rows.reward[:, 0], [0, 3, 7, 5, 0, 3])
    assert rows.truncated[3, 0] if limit else rows.terminated[3, 0]
    assert rows.first[4, 0]


def test_the_discounting_of_the_settings():
    rows = rollout(make_vector(COUNTING, num_envs=1, discounting=0.5), 7)
    # Rewards 1 to 5, the reset, 1.
    np.testing.assert_allclose(rows.discounted_return[:, 0], [0, 1, 2.5, 4.25, 6.125, 8.0625, 0, 1])


def test_a_limit_of_the_settings():
    rows = rollout(make_vector(COUNTING, max_episode_frames=2), 4)
    assert rows.truncated[:, 0].tolist() == [False, False, True, False, False]
    assert not rows.terminated.any()


def test_other_reset_modes_are_refused():
    vector = gym.vector.SyncVectorEnv(
        [lambda: gym.make("CartPole-v1")], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP
    )
    with pytest.raises(NotImplementedError, match="only gymnasium's NEXT_STEP"):
        environments.VectorEnvironment(vector, [1])


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


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_the_action_space_is_that_of_one_environment(vectorization):
    vector = make_vector(COUNTING, vectorization=vectorization)
    assert vector.action_space == gym.spaces.Discrete(4)
    vector.close()
