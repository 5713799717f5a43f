"""Says which action spaces are supported, and how their actions travel.

From the policy to the learner an action travels as *one* array of one dtype, [..., *shape] (`travelling_spec`):
Discrete, MultiDiscrete, MultiBinary: as the space has it.
Box: float32 before clipping or squashing, in units in which finite bounds are -1 and 1 (`BoxUnits`). So its probability
can be computed again exactly, which a clipped or squashed action would not allow.
Tuple, Dict: float32 [..., N], the parts' actions in the space's order, each flattened.

`environment_actions.py` turns these into the environment's actions; `distributions/` has the policy's distributions.
No TensorFlow is imported here: environments are stepped, and settings checked, without it.
"""

from typing import NamedTuple

import gymnasium as gym
import numpy as np

from impala_tf.support.messages import one_line
from impala_tf.types import ArraySpec

SUPPORTED = "Discrete, MultiDiscrete, MultiBinary, Box of floats, Tuple and Dict of these"
LARGEST_EXACT_INTEGER = 2**24  # A float32 holds integers exactly up to here.


def is_supported(space: gym.Space) -> bool:
    """Returns whether there is a distribution over the space's actions."""
    try:
        check(space)
    except NotImplementedError:
        return False
    return True


def check(space: gym.Space) -> None:
    """Raises NotImplementedError, one line that names the space, when there is no distribution over its actions."""
    if isinstance(space, gym.spaces.Box):
        if not np.issubdtype(space.dtype, np.floating):
            raise NotImplementedError(f"{name_of(space)} is a Box of {space.dtype}; supported: {SUPPORTED}")
    elif isinstance(space, gym.spaces.Tuple | gym.spaces.Dict):
        if not parts_of(space):
            raise NotImplementedError(f"{name_of(space)} has no parts")
        for part in parts_of(space):
            check(part)
            if isinstance(part, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
                _check_exact(part)
    elif not isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete | gym.spaces.MultiBinary):
        raise NotImplementedError(f"{name_of(space)} is not supported; supported: {SUPPORTED}")


def _check_exact(space: gym.spaces.Discrete | gym.spaces.MultiDiscrete) -> None:
    """Raises NotImplementedError for integers too large to travel as float32, as those in a Tuple or Dict do."""
    sizes = space.n if isinstance(space, gym.spaces.Discrete) else space.nvec
    start = np.asarray(space.start, np.int64)
    if max(np.max(np.abs(start)), np.max(np.abs(start + sizes))) > LARGEST_EXACT_INTEGER:
        raise NotImplementedError(f"{name_of(space)}, part of a Tuple or Dict, has integers beyond 2^24")


def name_of(space: gym.Space) -> str:
    """Returns the space in one line, for messages."""
    return f"action space {one_line(space)}"


def parts_of(space: gym.spaces.Tuple | gym.spaces.Dict) -> tuple[gym.Space, ...]:
    """Returns the spaces that a Tuple or Dict consists of, in its order."""
    return tuple(space.spaces.values() if isinstance(space, gym.spaces.Dict) else space.spaces)


def travelling_spec(space: gym.Space) -> ArraySpec:
    """Returns the shape and dtype of one action on its way from the policy to the learner."""
    if isinstance(space, gym.spaces.Box):
        return ArraySpec(space.shape, np.dtype(np.float32))
    if isinstance(space, gym.spaces.Tuple | gym.spaces.Dict):
        return ArraySpec((sum(flat_sizes(space)),), np.dtype(np.float32))
    assert space.shape is not None
    return ArraySpec(space.shape, np.dtype(space.dtype))


def flat_sizes(space: gym.spaces.Tuple | gym.spaces.Dict) -> list[int]:
    """Returns the number of components that each part has in an action that travels."""
    return [int(np.prod(travelling_spec(part).shape, dtype=int)) for part in parts_of(space)]


class BoxUnits(NamedTuple):
    """An action that travels, u, becomes the environment's action clip(origin + unit * f(u), low, high).

    f is tanh where squashed, else u itself. A component with two finite bounds has its origin in the middle, and its
    unit is half the distance: the bounds are at -1 and 1. Any other component has unit 1 and the origin at 0, or 1 away
    from its one finite bound, whichever is further inside. Bounds as large as a float32 can be count as infinite.

    origin: [*shape] float64, the environment's action where f(u) is 0.
    unit: [*shape] float64, the environment's distance for a distance of 1 in f(u).
    low, high: [*shape] in the space's dtype, bounds of the space.
    squashed: [*shape] bool, whether f is tanh.
    """

    origin: np.ndarray
    unit: np.ndarray
    low: np.ndarray
    high: np.ndarray
    squashed: np.ndarray


def box_units(space: gym.spaces.Box, action_bounds: str) -> BoxUnits:
    """Returns the units of a Box.

    action_bounds: clip or tanh, the setting of that name; tanh is for components with two finite bounds.
    """
    largest = np.finfo(np.float32).max
    low = np.where(space.low <= -largest, -np.inf, space.low.astype(np.float64))
    high = np.where(space.high >= largest, np.inf, space.high.astype(np.float64))
    finite = np.isfinite(low) & np.isfinite(high)
    ends = np.where(finite, low, 0.0), np.where(finite, high, 0.0)
    origin = np.where(finite, (ends[0] + ends[1]) / 2, np.minimum(np.maximum(0.0, low + 1), high - 1))
    unit = np.where(finite, (ends[1] - ends[0]) / 2, 1.0)
    return BoxUnits(origin, unit, space.low, space.high, finite & (action_bounds == "tanh"))
