"""`impala_tf/CartPoleNoVelocity-v1`: CartPole-v1 with its velocities hidden, the smallest task that needs a memory."""

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv

NO_VELOCITY_ID = "impala_tf/CartPoleNoVelocity-v1"
_POSITIONS = np.array([0, 2])  # The cart's position and the pole's angle; 1 and 3 are their velocities.


def _positions_space(space) -> gym.spaces.Box:
    return gym.spaces.Box(space.low[_POSITIONS], space.high[_POSITIONS], dtype=space.dtype.type)


def make_no_velocity(**settings) -> gym.Env:
    env = CartPoleEnv(**settings)
    return gym.wrappers.TransformObservation(env, lambda x: x[_POSITIONS], _positions_space(env.observation_space))


def make_no_velocity_vector(num_envs: int, **settings) -> gym.vector.VectorEnv:
    env = CartPoleVectorEnv(num_envs, **settings)
    return gym.wrappers.vector.TransformObservation(
        env, lambda x: x[:, _POSITIONS], single_observation_space=_positions_space(env.single_observation_space)
    )


def register() -> None:
    """Makes the id known to gymnasium."""
    if NO_VELOCITY_ID not in gym.registry:
        gym.register(
            NO_VELOCITY_ID,
            entry_point=f"{__name__}:make_no_velocity",
            vector_entry_point=f"{__name__}:make_no_velocity_vector",
            max_episode_steps=500,
        )
