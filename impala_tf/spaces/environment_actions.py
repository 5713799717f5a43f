"""Turns the actions that travel (`action_spaces.py`) into those that a gymnasium vector's `step` takes.

Actions that are not in the space are refused here, so that none reaches an environment: weights that are NaN make such
actions, and ALE's vector waits for ever after one. The check takes 2 of the 100 us of a step of 64 CartPoles.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.spaces import action_spaces
from impala_tf.spaces.action_spaces import BoxUnits
from impala_tf.support.diverged import Diverged
from impala_tf.support.messages import one_line
from impala_tf.types import ArraySpec


def to_environment(space: gym.Space, action_bounds: str) -> Callable[[np.ndarray], Any]:
    """Returns a function from actions that travel, [B, ...], to those that a gymnasium vector's `step` takes.

    For Discrete, MultiDiscrete and MultiBinary these are the same. A Box gets its dtype, inside its bounds; a Tuple or
    Dict a tuple or dict of batched arrays.

    action_bounds: clip or tanh, the setting of that name.
    Raises what `action_spaces.check` raises. The function raises Diverged for an action that is not in
    the space, as a policy whose weights are not finite chooses.
    """
    action_spaces.check(space)
    if isinstance(space, gym.spaces.Box):
        return functools.partial(_into_box, space, action_spaces.box_units(space, action_bounds))
    if isinstance(space, gym.spaces.Tuple | gym.spaces.Dict):
        ends = np.cumsum(action_spaces.flat_sizes(space))[:-1]
        converters = [
            functools.partial(
                _into_part, part, action_spaces.travelling_spec(part), to_environment(part, action_bounds)
            )
            for part in action_spaces.parts_of(space)
        ]
        names = tuple(space.spaces) if isinstance(space, gym.spaces.Dict) else None
        return functools.partial(_into_parts, ends, converters, names)
    return functools.partial(_checked_integers, space, *_bounds(space))


def _bounds(space: gym.Space) -> tuple[Any, Any]:
    """Returns the smallest and the largest action, as scalars or arrays of the space's shape."""
    if isinstance(space, gym.spaces.MultiBinary):
        return 0, 1
    assert isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete), space
    size = space.n if isinstance(space, gym.spaces.Discrete) else space.nvec
    return space.start, space.start + size - 1


def _checked_integers(space: gym.Space, lowest: Any, highest: Any, actions: np.ndarray) -> np.ndarray:
    inside = (actions >= lowest) & (actions <= highest)
    if not inside.all():
        raise _not_in_space(space, actions[~inside][0])
    return actions


def _check_finite(space: gym.Space, actions: np.ndarray) -> None:
    # The sum of squares costs a third, and may overflow though all actions are finite.
    if not math.isfinite(np.vdot(actions, actions)) and not np.isfinite(actions).all():
        raise _not_in_space(space, actions[~np.isfinite(actions)][0])


def _not_in_space(space: gym.Space, action: Any) -> Diverged:
    return Diverged(
        f"the policy chose action {action}, which is not in {one_line(space)}: its outputs are not finite; a lower "
        "--learning_rate or --clip_norm may help"
    )


def _into_box(space: gym.spaces.Box, units: BoxUnits, actions: np.ndarray) -> np.ndarray:
    _check_finite(space, actions)
    values = actions.astype(np.float64)
    if units.squashed.any():
        values = np.where(units.squashed, np.tanh(values), values)
    # The bounds are exact in both dtypes, so the cast rounds nothing to the outside.
    return np.clip(units.origin + units.unit * values, units.low, units.high).astype(units.low.dtype)


def _into_part(space: gym.Space, spec: ArraySpec, convert: Callable, column: np.ndarray) -> Any:
    _check_finite(space, column)  # The cast would turn NaN into an integer.
    return convert(column.reshape(len(column), *spec.shape).astype(spec.dtype))


def _into_parts(
    ends: np.ndarray, converters: Sequence[Callable], names: tuple[str, ...] | None, actions: np.ndarray
) -> Any:
    columns = np.split(actions, ends, axis=1)
    parts = (convert(column) for convert, column in zip(converters, columns, strict=True))
    return tuple(parts) if names is None else dict(zip(names, parts, strict=True))
