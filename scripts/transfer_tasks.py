"""Has the tasks of study_transfer.py, variants of CartPole whose observations have the same four numbers.

They are found by --env_id=scripts.transfer_tasks:ID from the directory of the repository.
"""

import gymnasium as gym
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv

SHORT_LENGTH = 0.2  # Half of the pole's length in meters; CartPole-v1 has 0.5.


def _shorten(env):
    env.length = SHORT_LENGTH
    env.polemass_length = env.masspole * SHORT_LENGTH
    return env


def make_short(**settings) -> gym.Env:
    return _shorten(CartPoleEnv(**settings))


def make_short_vector(num_envs: int, **settings) -> gym.vector.VectorEnv:
    return _shorten(CartPoleVectorEnv(num_envs, **settings))


def make_reversed(**settings) -> gym.Env:
    env = CartPoleEnv(**settings)
    return gym.wrappers.TransformObservation(env, lambda x: x[::-1], _reversed(env.observation_space))


def make_reversed_vector(num_envs: int, **settings) -> gym.vector.VectorEnv:
    env = CartPoleVectorEnv(num_envs, **settings)
    space = _reversed(env.single_observation_space)
    return gym.wrappers.vector.TransformObservation(env, lambda x: x[:, ::-1], single_observation_space=space)


def _reversed(space: gym.spaces.Box) -> gym.spaces.Box:
    return gym.spaces.Box(space.low[::-1], space.high[::-1], dtype=space.dtype.type)


for name in ("short", "reversed"):
    env_id = f"{name.capitalize()}CartPole-v0"
    if env_id not in gym.registry:
        gym.register(
            env_id,
            entry_point=f"{__name__}:make_{name}",
            vector_entry_point=f"{__name__}:make_{name}_vector",
            max_episode_steps=500,
        )
