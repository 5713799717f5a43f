"""Says what an unroll looks like: its length, and the shape and dtype of each leaf."""

import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from impala_tf.types import TIME_MAJOR_FIELDS, ArraySpec, EnvOutput, Unroll


class UnrollSpec(NamedTuple):
    """An unroll of one environment has T steps, and leaves with an `ArraySpec` each."""

    unroll_length: int
    leaves: Unroll

    def shape(self, group: int, name: str, spec: ArraySpec) -> tuple[int, ...]:
        """Returns the shape of a leaf over `group` unrolls. name: the field of `Unroll` that the leaf is in."""
        if name not in TIME_MAJOR_FIELDS:
            return (group, *spec.shape)
        rows = self.unroll_length + (name == "env_outputs")  # Row T has no action.
        return (rows, group, *spec.shape)


def unroll_spec(
    unroll_length: int,
    observation: Any,
    action: ArraySpec,
    num_parameters: int,
    state_size: int,
    num_baselines: int = 0,
) -> UnrollSpec:
    """Returns the `UnrollSpec` for one kind of observation (a nest of ArraySpec), action, policy head and core.

    num_baselines: number of baselines that are recorded at each row, 0 or 1.
    """
    scalar = {dtype: ArraySpec((), np.dtype(dtype)) for dtype in ("float32", "bool", "int32", "int64")}
    env_outputs = EnvOutput(
        reward=scalar["float32"],
        terminated=scalar["bool"],
        truncated=scalar["bool"],
        first=scalar["bool"],
        observation=observation,
        episode_return=scalar["float32"],
        episode_steps=scalar["int32"],
        discounted_return=scalar["float32"],
    )
    leaves = Unroll(
        env_outputs=env_outputs,
        actions=action,
        behaviour_parameters=ArraySpec((num_parameters,), np.dtype("float32")),
        behaviour_baselines=ArraySpec((num_baselines,), np.dtype("float32")),
        last_action=action,
        core_state=ArraySpec((state_size,), np.dtype("float32")),
        policy_version=scalar["int64"],
        actor=scalar["int32"],
        task=scalar["int32"],
    )
    return UnrollSpec(unroll_length, leaves)


def map_leaves(function, spec: UnrollSpec, *unrolls: Unroll) -> Unroll:
    """Maps function(name, ArraySpec, leaf of each unroll) over the leaves; name: the field of `Unroll` they are in."""
    fields = {}
    for name in Unroll._fields:
        nests = [getattr(unroll, name) for unroll in (spec.leaves, *unrolls)]
        fields[name] = tf.nest.map_structure(functools.partial(function, name), *nests)
    return Unroll(**fields)
