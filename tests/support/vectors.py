"""Vectors of test environments, stepped by hand."""

import numpy as np

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.types import EnvOutput


def make_vector(env_id, num_envs=3, seed=1, actor=0, **settings):
    return environments.make_vector_environment(Config(env_id=env_id, **settings), seed, actor, num_envs)


def rollout(environment, num_steps, action=lambda t, n: np.full(n, t % 2)):
    rows = [environment.reset()]
    rows += [environment.step(action(t, environment.num_envs)) for t in range(num_steps)]
    environment.close()
    return EnvOutput(*(np.stack(leaves) for leaves in zip(*rows, strict=True)))


def check_types(rows):
    """Asserts the dtypes of `EnvOutput`."""
    assert rows.reward.dtype == rows.episode_return.dtype == np.float32
    assert rows.terminated.dtype == rows.truncated.dtype == rows.first.dtype == bool
    assert rows.episode_steps.dtype == np.int32
