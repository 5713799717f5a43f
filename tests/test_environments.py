import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.types import EnvOutput

COUNTING, LIMITED = "tests.environments:tests/Counting-v0", "tests.environments:tests/Limited-v0"


def make(env_id, num_envs=3, seed=1, actor=0, **settings):
    return environments.make_vector_environment(Config(env_id=env_id, **settings), seed, actor, num_envs)


def rollout(environment, num_steps, action=lambda t, n: np.full(n, t % 2)):
    rows = [environment.reset()]
    rows += [environment.step(action(t, environment.num_envs)) for t in range(num_steps)]
    environment.close()
    return EnvOutput(*(np.stack(leaves) for leaves in zip(*rows, strict=True)))


def check_types(rows):
    assert rows.reward.dtype == rows.episode_return.dtype == np.float32
    assert rows.terminated.dtype == rows.truncated.dtype == rows.first.dtype == bool
    assert rows.episode_steps.dtype == np.int32


@pytest.mark.parametrize(("env_id", "limit"), [(COUNTING, False), (LIMITED, True)])
@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_rows_against_hand_stepped_episodes(env_id, limit, vectorization):
    """The row that ends an episode carries its final observation; the next begins one, whatever the action was."""
    rows = rollout(make(env_id, vectorization=vectorization), 13)
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


def test_native_cartpole_against_hand_stepped_physics():
    """CartPole's own vector form, row by row, against the single environment started in the same state."""
    assert environments.spec_of(Config()).has_native_vector
    rows = rollout(make("CartPole-v1", num_envs=4), 600)
    check_types(rows)
    single = gym.make("CartPole-v1").unwrapped
    single.reset()
    steps = 0
    for i in range(4):
        for t in range(600):
            if rows.first[t + 1, i]:
                assert rows.terminated[t, i] or rows.truncated[t, i]
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


def test_native_cartpole_ends_by_its_time_limit():
    environment = make("CartPole-v1", num_envs=2)
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


@pytest.mark.parametrize("vectorization", ["native", "sync"])
def test_seeds(vectorization):
    def observations(**settings):
        return rollout(make("CartPole-v1", vectorization=vectorization, **settings), 60).observation

    same = observations(seed=1, actor=0)
    np.testing.assert_array_equal(same, observations(seed=1, actor=0))
    assert not np.allclose(same[0], observations(seed=2, actor=0)[0])
    assert not np.allclose(same[0], observations(seed=1, actor=1)[0])
    assert len(np.unique(same[0, :, 0])) == 3, "environments of one actor start alike"


def test_hidden_velocities():
    spec = environments.spec_of(Config(env_id="impala_tf/CartPoleNoVelocity-v1"))
    assert spec.observation_space.shape == (2,)
    assert spec.has_native_vector
    hidden = rollout(make("impala_tf/CartPoleNoVelocity-v1"), 20).observation
    shown = rollout(make("CartPole-v1"), 20).observation
    np.testing.assert_array_equal(hidden, shown[..., [0, 2]])
    single = gym.make("impala_tf/CartPoleNoVelocity-v1")
    assert single.observation_space.contains(single.reset()[0])


def test_repeated_actions():
    rows = rollout(make(COUNTING, num_action_repeats=2), 5)
    # Rewards 1 + 2, 3 + 4, 5 (the episode ends within the repeat), the reset, 1 + 2.
    np.testing.assert_array_equal(rows.reward[:, 0], [0, 3, 7, 5, 0, 3])
    assert rows.terminated[3, 0]
    assert rows.first[4, 0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"env_id": "CartPol-v1"}, r"--env_id=CartPol-v1: unknown environment .*did you mean CartPole-v1"),
        ({"env_id": "cartpole-v1"}, r"did you mean CartPole-v1"),
        ({"env_id": "no_such_module:Env-v0"}, r"--env_id=no_such_module:Env-v0: unknown environment"),
        ({"network": "deep"}, r"--network=deep: needs an observation of shape .*; use --network=mlp"),
        ({"env_id": "Pendulum-v1"}, r"--env_id=Pendulum-v1: its action space Box\(.* supported: Discrete"),
        (
            {"env_id": "tests.environments:tests/Continuous-v0"},
            r"its observation space Dict\(.* is not supported; supported: Box, Discrete",
        ),
    ],
)
def test_what_cannot_be_used_is_named(settings, message):
    with pytest.raises(SettingError, match=message) as error:
        environments.spec_of(Config(**settings))
    assert "\n" not in str(error.value)


def test_native_vectors_must_exist():
    with pytest.raises(SettingError, match="--vectorization=native: Acrobot-v1 has no vector form of its own"):
        environments.spec_of(Config(env_id="Acrobot-v1", vectorization="native"))


def test_other_reset_modes_are_refused():
    vector = gym.vector.SyncVectorEnv(
        [lambda: gym.make("CartPole-v1")], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP
    )
    with pytest.raises(NotImplementedError, match="only gymnasium's NEXT_STEP"):
        environments.VectorEnvironment(vector, [1])
