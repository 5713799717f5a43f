"""Several vectors as one."""

import threading

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.environments import JoinedEnvironment, VectorEnvironment
from tests.support.environments import COUNTING, TESTS, Counting
from tests.support.vectors import make_vector, rollout


@pytest.mark.parametrize("num_threads", [1, 3])
def test_actions_reach_their_environments_in_order(num_threads):
    """Counting tells the last action in its observation."""
    joined = JoinedEnvironment([make_vector(COUNTING, num_envs=n, actor=n) for n in (2, 1, 3)], num_threads)
    assert joined.num_envs == 6
    assert joined.vector_indices.tolist() == [0, 0, 1, 2, 2, 2]
    assert joined.reset().first.all()
    actions = np.array([0, 1, 2, 3, 2, 1])
    row = joined.step(actions)
    assert row.observation[:, 2].tolist() == actions.tolist()
    assert row.episode_steps.tolist() == [1] * 6
    joined.close()


def test_nests_are_joined():
    joined = JoinedEnvironment([make_vector(f"{TESTS}Nested-v0", num_envs=n) for n in (2, 1)], 1)
    joined.reset()
    observation = joined.step(np.zeros(3, int)).observation
    assert observation["text"].tolist() == [b"step number 1"] * 3
    assert observation["numbers"][1].shape == (3, 2)
    joined.close()


def test_tasks_of_joined_vectors():
    config = Config(env_id="MinAtar/Breakout-v0,MinAtar/Freeway-v0", network="minatar")
    vectors = [environments.make_vector_environment(config, 1, actor, 1 + actor) for actor in range(3)]
    joined = JoinedEnvironment(vectors, 1)
    assert joined.tasks.tolist() == [0, 1, 1, 0, 0, 0]
    assert joined.reset().observation.shape == (6, 10, 10, 7), "the smaller ones are filled up"
    joined.close()


@pytest.mark.parametrize("num_threads", [1, 3])
def test_joined_environments_are_their_parts(num_threads):
    def parts():
        return [make_vector(COUNTING, num_envs=n) for n in (2, 3, 1)]

    def action(t, n):
        return (np.arange(n) + t) % 4

    joined = rollout(JoinedEnvironment(parts(), num_threads), 12, action)
    for part, start in zip(parts(), (0, 2, 5), strict=True):
        alone = rollout(part, 12, lambda t, n, start=start: action(t, 6)[start : start + n])
        for mine, whole in zip(alone, joined, strict=True):
            np.testing.assert_array_equal(mine, whole[:, start : start + mine.shape[1]])


def test_joined_environments_step_at_the_same_time():
    """Each of the three waits in its step until the others are in theirs."""
    barrier = threading.Barrier(3)

    class Waits(gym.Wrapper):
        def step(self, action):
            barrier.wait(30)
            return super().step(action)

    parts = [VectorEnvironment(gym.vector.SyncVectorEnv([lambda: Waits(Counting())]), [0]) for _ in range(3)]
    joined = JoinedEnvironment(parts, num_threads=3)
    joined.reset()
    assert joined.step(np.zeros(3, int)).episode_steps.tolist() == [1, 1, 1]
    joined.close()
