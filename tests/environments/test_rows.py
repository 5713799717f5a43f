"""Rows against what hand-made environments emit. No TensorFlow and no environment is needed here."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import SettingError
from impala_tf.environments.rows import EpisodeRows
from impala_tf.environments.task import Task

ALL = slice(None)


def bits(*values):
    return np.array(values, bool)


def row_of(rows, reward, terminated=None, truncated=None, lives=None, envs=ALL, observation=None):
    """The row after an emission; what is not given is no end and an observation of ones."""
    reward = np.array(reward, np.float64)
    no_end = np.zeros(len(reward), bool)
    return rows.row(
        envs,
        reward,
        no_end if terminated is None else terminated,
        no_end if truncated is None else truncated,
        np.ones([len(reward), 2], np.float32) if observation is None else observation,
        {} if lives is None else {"lives": np.array(lives, np.int32)},
    )


def test_which_rows_are_first():
    """The very first row is, and the row after a termination and after a truncation, of that environment alone."""
    rows = EpisodeRows(3, Task())
    assert row_of(rows, [0, 0, 0]).first.tolist() == [True, True, True]
    ends = row_of(rows, [1, 1, 1], terminated=bits(1, 0, 0), truncated=bits(0, 1, 0))
    assert ends.first.tolist() == [False, False, False]
    assert (ends.terminated.tolist(), ends.truncated.tolist()) == ([True, False, False], [False, True, False])
    assert row_of(rows, [0, 0, 1]).first.tolist() == [True, True, False]
    assert row_of(rows, [1, 1, 1]).first.tolist() == [False, False, False]


def test_an_end_in_the_row_of_a_reset_counts():
    """EnvPool's and ALE's vectors may end an episode in any row."""
    rows = EpisodeRows(1, Task())
    row_of(rows, [0], truncated=bits(1))
    assert row_of(rows, [0]).first.tolist() == [True]


def test_sums_of_an_episode():
    """Returns and lengths are those up to the row, the row of the end included, and begin anew at the first."""
    rows = EpisodeRows(2, Task(discounting=0.5))
    emitted = [row_of(rows, [0, 0])]
    emitted.append(row_of(rows, [1, 10]))
    emitted.append(row_of(rows, [2, 20], terminated=bits(1, 0)))
    emitted.append(row_of(rows, [0, 30], truncated=bits(0, 1)))
    emitted.append(row_of(rows, [4, 0]))
    expected = {
        "episode_return": [[0, 0], [1, 10], [3, 30], [0, 60], [4, 0]],
        "episode_steps": [[0, 0], [1, 1], [2, 2], [0, 3], [1, 0]],
        # 2 + 1 / 2; 20 + 10 / 2; 30 + 25 / 2.
        "discounted_return": [[0, 0], [1, 10], [2.5, 25], [0, 42.5], [4, 0]],
        "reward": [[0, 0], [1, 10], [2, 20], [0, 30], [4, 0]],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal([getattr(row, name) for row in emitted], values, err_msg=name)
    assert emitted[1].reward.dtype == emitted[1].episode_return.dtype == np.float32
    assert emitted[1].discounted_return.dtype == np.float32
    assert emitted[1].episode_steps.dtype == np.int32


def test_a_reset_has_no_reward_whatever_is_emitted():
    rows = EpisodeRows(2, Task(discounting=0.5))
    row_of(rows, [7, np.nan])
    row_of(rows, [1, 1], terminated=bits(1, 0))
    row = row_of(rows, [7, 1])
    assert row.reward.tolist() == row.episode_return.tolist()[:1] + [1] == [0, 1]
    assert row.discounted_return.tolist() == [0, 1.5]
    assert row_of(rows, [1, 1]).episode_return.tolist() == [1, 3]


def test_each_task_has_its_discounting():
    for discounting in (0.0, 0.9, 1.0):
        rows = EpisodeRows(1, Task(discounting=discounting))
        row_of(rows, [0])
        row_of(rows, [1])
        np.testing.assert_allclose(row_of(rows, [1]).discounted_return, [1 + discounting])


def test_environments_that_are_not_handed_out_keep_their_sums():
    """Rows of some environments of three, in any order."""
    rows = EpisodeRows(3, Task(discounting=0.5))
    row_of(rows, [0, 0], envs=np.array([2, 0]))
    assert row_of(rows, [5, 6], envs=np.array([0, 2]), terminated=bits(0, 1)).episode_return.tolist() == [5, 6]
    late = row_of(rows, [0, 1], envs=np.array([1, 0]))
    assert late.first.tolist() == [True, False]
    assert late.episode_return.tolist() == [0, 6]
    assert late.episode_steps.tolist() == [0, 2]
    assert late.discounted_return.tolist() == [0, 3.5]
    assert row_of(rows, [0], envs=np.array([2])).first.tolist() == [True]
    again = row_of(rows, [2, 3, 4], envs=np.array([1, 2, 0]))
    assert again.episode_return.tolist() == [2, 3, 10]
    assert again.discounted_return.tolist() == [2, 3, 5.75]


def test_a_row_does_not_change_with_the_next():
    rows = EpisodeRows(2, Task())
    row_of(rows, [0, 0])
    kept = row_of(rows, [1, 2], terminated=bits(1, 0))
    copies = [np.copy(array) for array in kept]
    row_of(rows, [3, 4], terminated=bits(0, 1))
    row_of(rows, [5, 6])
    for name, array, copy in zip(kept._fields, kept, copies, strict=True):
        np.testing.assert_array_equal(array, copy, err_msg=name)


@pytest.fixture
def lives():
    return EpisodeRows(2, Task(ends_on_life_loss=True))


def test_a_lost_life_is_terminated_and_nothing_else(lives):
    row_of(lives, [0, 0], lives=[3, 3])
    lost = row_of(lives, [1, 1], lives=[2, 3])
    assert lost.terminated.tolist() == [True, False]
    assert not lost.truncated.any()
    after = row_of(lives, [1, 1], lives=[2, 3])
    assert not after.terminated.any()
    assert not after.first.any(), "the episode goes on"
    assert after.episode_return.tolist() == [2, 2]
    assert row_of(lives, [1, 1], lives=[1, 2]).terminated.tolist() == [True, True], "each life once"


def test_a_game_may_end_without_a_lost_life(lives):
    row_of(lives, [0, 0], lives=[3, 3])
    assert row_of(lives, [1, 1], lives=[3, 3], terminated=bits(0, 1)).terminated.tolist() == [False, True]


def test_a_life_that_is_won_is_no_end(lives):
    row_of(lives, [0, 0], lives=[3, 3])
    assert not row_of(lives, [1, 1], lives=[4, 3]).terminated.any()
    assert row_of(lives, [1, 1], lives=[3, 3]).terminated.tolist() == [True, False]


def test_a_new_episodes_lives_are_compared_with_nothing(lives):
    """A new game may begin with fewer lives than the last one ended with, and then its own count."""
    row_of(lives, [0, 0], lives=[3, 3])
    row_of(lives, [1, 1], lives=[3, 3], truncated=bits(1, 0))
    begun = row_of(lives, [0, 1], lives=[2, 3])
    assert begun.first.tolist() == [True, False]
    assert not begun.terminated.any()
    assert not row_of(lives, [1, 1], lives=[2, 3]).terminated.any()
    assert row_of(lives, [1, 1], lives=[1, 3]).terminated.tolist() == [True, False]


def test_lives_after_a_game_that_ended_without_any_left(lives):
    """From 0 lives to 3 at the reset; the next loss is from 3 to 2."""
    row_of(lives, [0, 0], lives=[1, 1])
    row_of(lives, [1, 1], lives=[0, 1], terminated=bits(1, 0))
    assert not row_of(lives, [0, 1], lives=[3, 1]).terminated.any()
    assert row_of(lives, [1, 1], lives=[2, 1]).terminated.tolist() == [True, False]


def test_lives_of_environments_that_are_handed_out(lives):
    row_of(lives, [0], lives=[3], envs=np.array([1]))
    row_of(lives, [0], lives=[5], envs=np.array([0]))
    assert not row_of(lives, [0], lives=[3], envs=np.array([1])).terminated.any()
    assert row_of(lives, [0], lives=[4], envs=np.array([0])).terminated.all()


def test_without_the_setting_lives_mean_nothing():
    rows = EpisodeRows(1, Task())
    row_of(rows, [0], lives=[3])
    assert not row_of(rows, [0], lives=[2]).terminated.any()


def test_smaller_observations_are_filled_up_with_zeros_at_the_end():
    task = Task(shape=(3, 4))
    observation = np.arange(1, 13, dtype=np.uint8).reshape(2, 2, 3)
    row = row_of(EpisodeRows(2, task), [0, 0], observation=observation)
    assert row.observation.shape == (2, 3, 4)
    assert row.observation.dtype == np.uint8
    np.testing.assert_array_equal(row.observation[:, :2, :3], observation)
    assert row.observation.sum() == observation.sum()
    fits = np.ones([2, 3, 4], np.uint8)
    assert task.fill_up(fits) is fits, "nothing is copied where nothing is missing"


def test_nests_become_arrays_of_their_space():
    space = gym.spaces.Dict(a=gym.spaces.Box(-1, 1, (1,)), t=gym.spaces.Text(5))
    rows = EpisodeRows(2, Task(), space)
    row = row_of(rows, [0, 0], observation={"a": np.zeros([2, 1], np.float64), "t": ("hi", "ho")})
    assert row.observation["a"].dtype == np.float32
    assert row.observation["t"].tolist() == [b"hi", b"ho"]


@pytest.mark.parametrize(
    ("reward", "observation", "message"),
    [
        (np.nan, [1.0, 1.0], "gave nan in its reward; replace it in the environment"),
        (np.inf, [1.0, 1.0], "gave inf in its reward"),
        (1e39, [1.0, 1.0], "gave inf in its reward"),
        (1, [1.0, np.nan], "gave nan in its observation; replace"),
        (1, [1.0, -np.inf], "gave -inf in its observation; replace"),
        (1, [1e39, 1.0], "gave inf in its observation"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_not_finite_is_refused(reward, observation, message):
    rows = EpisodeRows(2, Task(env_id="Mine-v0"))
    row_of(rows, [0, 0])
    with pytest.raises(SettingError, match=f"^--env_id=Mine-v0: {message}"):
        row_of(rows, [1, reward], observation=np.array([[1, 1], observation], np.float64))


def test_the_part_that_is_not_finite_is_named():
    space = gym.spaces.Dict(a=gym.spaces.Box(-1, 1, (1,)), b=gym.spaces.Tuple([gym.spaces.Box(-1, 1, (1,))]))
    observation = {"a": np.zeros([1, 1]), "b": (np.full([1, 1], np.nan),)}
    with pytest.raises(SettingError, match="gave nan in its observation 'b/0'"):
        row_of(EpisodeRows(1, Task(), space), [0], observation=observation)


def test_ends_are_bits():
    """Numbers would be added up where ends are joined."""
    with pytest.raises(AssertionError):
        row_of(EpisodeRows(1, Task()), [0], terminated=np.zeros(1, np.int32))
