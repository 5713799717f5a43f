"""Says how large an action mask is, and turns a mask of any form into one array."""

from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.spaces import action_spaces


def mask_size(space: gym.Space) -> int:
    """Returns the number of entries of an action mask; 0 means no mask. See `ActionDistribution.apply_mask`."""
    if isinstance(space, gym.spaces.Discrete):
        return int(space.n)
    if isinstance(space, gym.spaces.MultiDiscrete):
        return int(np.sum(space.nvec))
    if isinstance(space, gym.spaces.MultiBinary):
        return int(np.prod(space.shape, dtype=int))
    if isinstance(space, gym.spaces.Tuple | gym.spaces.Dict):
        return sum(mask_size(part) for part in action_spaces.parts_of(space))
    return 0


def flat_mask(space: gym.Space, mask: Any) -> np.ndarray:
    """Returns a mask in the form of its space as one array, [mask_size] int8.

    mask: a tuple for MultiDiscrete and Tuple, a dict for Dict; None means that everything is possible.
    Raises ValueError when its size is not that of the space.
    """
    if mask is None:
        return np.ones(mask_size(space), np.int8)
    if isinstance(space, gym.spaces.Tuple | gym.spaces.Dict):
        keys: Any = space.spaces if isinstance(space, gym.spaces.Dict) else range(len(space.spaces))
        pieces = [flat_mask(space.spaces[key], mask[key]) for key in keys if mask_size(space.spaces[key])]
    else:
        pieces = _ravel(mask)
    flat = np.concatenate(pieces).astype(np.int8)
    if len(flat) != mask_size(space):
        raise ValueError(f"a mask of {len(flat)} entries, but {action_spaces.name_of(space)} needs {mask_size(space)}")
    return flat


def _ravel(mask: Any) -> list[np.ndarray]:
    if isinstance(mask, tuple | list):
        return [piece for part in mask for piece in _ravel(part)]
    return [np.ravel(mask)]
