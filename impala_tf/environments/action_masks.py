"""Makes action masks in `info`, where gymnasium's Taxi has them, a part of the observation."""

import contextlib
import functools
import warnings

import gymnasium as gym

from impala_tf.spaces import masks, observation_spaces
from impala_tf.spaces.observation_spaces import ACTION_MASK


class MaskedObservation(gym.Wrapper):
    """Moves the action mask from `info` into the observation, a Dict, where the network looks for it."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        space, mask = env.observation_space, gym.spaces.MultiBinary(masks.mask_size(env.action_space))
        self._is_dict = isinstance(space, gym.spaces.Dict)
        parts = space.spaces if isinstance(space, gym.spaces.Dict) else {"observation": space}
        self.observation_space = gym.spaces.Dict(parts | {ACTION_MASK: mask})

    def _with_mask(self, observation, info: dict) -> dict:
        """Adds the mask. Without one in `info`, as at the end of some episodes, all actions are possible."""
        parts = observation if self._is_dict else {"observation": observation}
        return parts | {ACTION_MASK: masks.flat_mask(self.env.action_space, info.get(ACTION_MASK))}

    def reset(self, **arguments):
        observation, info = self.env.reset(**arguments)
        return self._with_mask(observation, info), info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._with_mask(observation, info), reward, terminated, truncated, info


def has_mask_in_info(registered_id: str) -> bool:
    """Returns whether only `info` says which actions are possible; False if the environment cannot be made."""
    try:
        return _finds_mask_in_info(registered_id)
    except Exception:  # The error is raised again when the environment is made for use.
        return False


@functools.lru_cache(maxsize=64)  # It is called for every environment that is made.
def _finds_mask_in_info(registered_id: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gym.make(registered_id)
        space = env.observation_space
        can_mask = masks.mask_size(env.action_space) > 0 and not observation_spaces.has_mask(space)
        with contextlib.closing(env):
            if not can_mask or observation_spaces.unsupported(space) is not None:
                return False
            return env.reset(seed=0)[1].get(ACTION_MASK) is not None


def clear_cache() -> None:
    """Drops what was cached, because an id may mean another environment now."""
    _finds_mask_in_info.cache_clear()
