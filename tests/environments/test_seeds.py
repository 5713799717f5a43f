"""Every environment of every actor has a seed of its own."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import Config
from impala_tf.environments.ale_vector import make_ale_vector
from impala_tf.environments.envpool_vector import make_envpool_vector
from tests.support.environments import needs_envpool
from tests.support.vectors import make_vector, rollout


def seed_of(seed, actor, index):
    return int(np.random.SeedSequence([seed, actor, index]).generate_state(1)[0])


@pytest.mark.parametrize("vectorization", ["native", "sync", pytest.param("envpool", marks=needs_envpool)])
def test_the_same_seed_twice_and_others(vectorization):
    def observations(**settings):
        return rollout(make_vector("CartPole-v1", vectorization=vectorization, **settings), 60).observation

    same = observations(seed=1, actor=0)
    np.testing.assert_array_equal(same, observations(seed=1, actor=0))
    assert not np.allclose(same[0], observations(seed=2, actor=0)[0])
    assert not np.allclose(same[0], observations(seed=1, actor=1)[0])
    assert len(np.unique(same[0, :, 0])) == 3, "environments of one actor start alike"


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_each_environment_begins_as_one_alone_with_its_seed(vectorization):
    environment = make_vector("CartPole-v1", num_envs=3, seed=5, actor=2, vectorization=vectorization)
    observation = environment.reset().observation
    environment.close()
    for index in range(3):
        alone, _ = gym.make("CartPole-v1").reset(seed=seed_of(5, 2, index))
        np.testing.assert_array_equal(observation[index], alone)


def test_a_native_vector_has_the_first_seed():
    observation = make_vector("CartPole-v1", num_envs=4, seed=5, actor=2, vectorization="native").reset().observation
    alone, _ = gym.make_vec("CartPole-v1", 4, "vector_entry_point").reset(seed=seed_of(5, 2, 0))
    np.testing.assert_array_equal(observation, alone)


def ale(seeds):
    return make_ale_vector("breakout", Config(env_id="ALE/Breakout-v5", num_action_repeats=4), len(seeds), 1, seeds)


def envpool(seeds):
    return make_envpool_vector(Config(vectorization="envpool"), len(seeds), 1, seeds)


@pytest.mark.parametrize("make", [ale, pytest.param(envpool, marks=needs_envpool)])
def test_environments_in_threads_are_seeded_one_by_one(make):
    """Seeds are up to 32 bits; the libraries take 31."""
    seeds = [3, 2**32 - 1, 2**31 + 4, 77]

    def starts(seeds):
        vector = make(seeds)
        vector.reset(seed=seeds)
        # Breakout's screens differ once the no-ops before have ended at different frames.
        observation = [vector.step(np.ones(len(seeds), int))[0] for _ in range(8)][-1]
        vector.close()
        return observation

    together = starts(seeds)
    for index, seed in enumerate(seeds):
        np.testing.assert_array_equal(together[index], starts([seed])[0])
    assert len(np.unique(together.reshape(len(seeds), -1), axis=0)) > 1


@pytest.mark.parametrize("settings", [dict(), dict(vectorization="sync")])
def test_a_second_reset_begins_the_same_episodes(settings):
    environment = make_vector("CartPole-v1", num_envs=4, **settings)
    begun = environment.reset()
    environment.step(np.zeros(4, int))
    again = environment.reset()
    np.testing.assert_array_equal(begun.observation, again.observation)
    assert again.first.all()
    assert not again.episode_steps.any()
    environment.close()
