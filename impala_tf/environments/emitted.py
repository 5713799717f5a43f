"""Checks what an environment emits: at its first reset and step everything, later what numpy would take in silence."""

from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import SettingError
from impala_tf.spaces import masks, observation_spaces
from impala_tf.spaces.observation_spaces import ACTION_MASK
from impala_tf.support.messages import one_line

# Most values are of these types, which are asked for first, since it takes the least time.
_NUMBERS, _BOOLS = (float, int, np.floating, np.integer), (bool, np.bool_)
RESET, STEP = ("observation", "info"), ("observation", "reward", "terminated", "truncated", "info")


class Checks:
    """Checks the results of an environment's methods, which are returned as they are.

    Raises SettingError, which names the environment's id, when a result is not what gymnasium's interface says.

    prefix: beginning of the messages.
    """

    def __init__(self, env: gym.Env, env_id: str):
        self.prefix = f"--env_id={env_id}"
        self._space = env.observation_space
        is_array = isinstance(self._space, gym.spaces.Box)
        self._shape: Any = self._space.shape if is_array else None
        self._dtype: Any = self._space.dtype if is_array else "that of no array"
        # A mask that `info` has from the first reset on is a part of the observation, see action_masks.py.
        self._has_no_mask = masks.mask_size(env.action_space) > 0 and not observation_spaces.has_mask(self._space)

    def reset(self, emitted: Any) -> tuple[Any, dict]:
        """Returns (observation, info)."""
        self._check_number("reset", emitted, RESET)
        self._check_observation("reset", emitted[0])
        return emitted

    def step(self, emitted: Any) -> tuple[Any, Any, Any, Any, dict]:
        """Returns (observation, reward, terminated, truncated, info)."""
        if type(emitted) is not tuple or len(emitted) != len(STEP):
            self._check_number("step", emitted, STEP)
        observation, reward, terminated, truncated, info = emitted
        # numpy has one object for each dtype of numbers, so this is the way that most observations go.
        if getattr(observation, "dtype", None) is not self._dtype or observation.shape != self._shape:
            self._check_observation("step", observation)
        if not isinstance(reward, _NUMBERS) and not _is_number(reward):
            raise SettingError(f"{self.prefix}: the reward of its step {_said(reward)}; must be one number")
        if not isinstance(terminated, _BOOLS) and not _is_bool(terminated):
            raise SettingError(f"{self.prefix}: terminated of its step {_said(terminated)}; must be True or False")
        if not isinstance(truncated, _BOOLS) and not _is_bool(truncated):
            raise SettingError(f"{self.prefix}: truncated of its step {_said(truncated)}; must be True or False")
        if self._has_no_mask and ACTION_MASK in info:
            raise SettingError(
                f"{self.prefix}: info has an action_mask after a step, but not after the first reset; give it from "
                "there on, or as a part of a Dict observation"
            )
        return emitted

    def _check_number(self, method: str, emitted: Any, names: tuple[str, ...]) -> None:
        is_sequence = isinstance(emitted, tuple | list)
        if not is_sequence or len(emitted) != len(names):
            given = f"{len(emitted)} values" if is_sequence else f"a {type(emitted).__name__}"
            raise SettingError(f"{self.prefix}: its {method} returned {given}; must be {', '.join(names)}")

    def _check_observation(self, method: str, observation: Any) -> None:
        words = observation_spaces.misfit(self._space, observation)
        if words:
            raise SettingError(
                f"{self.prefix}: the observation of its {method} is not of its observation space: {words}"
            )


def _is_number(value: Any) -> bool:
    array = np.asarray(value)
    return array.ndim == 0 and array.dtype.kind in "biuf"


def _is_bool(value: Any) -> bool:
    """Returns whether it is a bool, or a number that is 0 or 1."""
    return _is_number(value) and value in (0, 1)


def _said(value: Any) -> str:
    """Returns the value for a message; of an array its shape."""
    shape = np.shape(value)
    return f"has the shape {shape}" if shape else f"is {one_line(repr(value))[:60]}"
