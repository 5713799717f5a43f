"""Saves where an actor is between two unrolls, so that another one can go on there to the bit (--exact_resume)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from impala_tf.environments import VectorMark
from impala_tf.types import EnvOutput


class ActorMark(NamedTuple):
    """A point between two unrolls of an actor. Nothing in it changes when the actor goes on.

    num_graph_calls: number of unrolls before it.
    row: row of its environments, row 0 of the next unroll.
    last_action, core_state: [B, ...], what the policy gets beside that row.
    vectors: points of its vectors of environments.
    """

    num_graph_calls: int
    row: EnvOutput
    last_action: Any
    core_state: Any
    vectors: list[VectorMark]


def arrays_of(mark: ActorMark) -> dict[str, np.ndarray]:
    """Returns all of a mark but its vectors, by name."""
    row = {f"row/{i}": _savable(leaf) for i, leaf in enumerate(tf.nest.flatten(mark.row))}
    return row | dict(
        num_graph_calls=np.asarray(mark.num_graph_calls),
        last_action=np.asarray(mark.last_action),
        core_state=np.asarray(mark.core_state),
    )


def row_of(arrays: dict[str, np.ndarray], like: EnvOutput) -> EnvOutput:
    """Returns the row from the result of `arrays_of`; texts are bytes of a fixed length. like: a nest of its form."""
    return tf.nest.pack_sequence_as(like, [arrays[f"row/{i}"] for i in range(len(tf.nest.flatten(like)))])


def split_row(row: EnvOutput, sizes: Sequence[int]) -> list[EnvOutput]:
    """Splits the row of a joined environment into those of its vectors. sizes: number of environments of each."""
    ends = np.cumsum(sizes)
    return [
        tf.nest.map_structure(lambda leaf, end=end, size=size: leaf[end - size : end], row)
        for end, size in zip(ends, sizes, strict=True)
    ]


def _savable(leaf: np.ndarray) -> np.ndarray:
    """Texts are arrays of objects, which would be saved as pickles."""
    return leaf.astype(np.bytes_) if leaf.dtype == object else leaf
