"""Spaces and random parameters of action distributions."""

import gymnasium as gym
import numpy as np
import tensorflow as tf

INF = np.inf
SEED = tf.constant([1, 2])


def random_parameters(distribution, *leading, seed=0):
    shape = (*leading, distribution.num_parameters)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


SPACES = {
    "discrete": gym.spaces.Discrete(4, start=3),
    "multi_discrete": gym.spaces.MultiDiscrete([[3, 2], [5, 1]], start=[[0, 7], [-2, 1]]),
    "multi_binary": gym.spaces.MultiBinary((2, 2)),
    "box": gym.spaces.Box(np.float32([-1, 0.1]), np.float32([0.3, 255])),
    "float64": gym.spaces.Box(-0.1, 0.7, (2, 2), np.float64),
    "float16": gym.spaces.Box(-0.1, 0.7, (2,), np.float16),
    "scalar": gym.spaces.Box(-0.4, 0.4, ()),
    "infinite": gym.spaces.Box(np.float32([-INF, 5, -INF, -3]), np.float32([INF, INF, -2, INF])),
    "float_max": gym.spaces.Box(-np.finfo(np.float32).max, np.finfo(np.float32).max, (1,)),
    "one_value": gym.spaces.Box(np.float32([0.3, -1]), np.float32([0.3, 1])),
    "nested": gym.spaces.Dict(
        {
            "z": gym.spaces.Discrete(3, start=-1),
            "a": gym.spaces.Tuple(
                [gym.spaces.Box(-2, 7, (2, 2), np.float64), gym.spaces.Dict({"bits": gym.spaces.MultiBinary(2)})]
            ),
            "m": gym.spaces.MultiDiscrete([2, 4], dtype=np.int16),
        }
    ),
}
