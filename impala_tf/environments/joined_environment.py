"""Joins several vectors of environments to one, for actors that share every policy call."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from impala_tf.environments.vector_environment import VectorEnvironment
from impala_tf.types import EnvOutput


def concatenate(rows: list) -> Any:
    """Joins the rows of several vectors, or nests of arrays in them, to the row of one vector."""
    example = rows[0]
    if isinstance(example, np.ndarray):
        return np.concatenate(rows)
    if isinstance(example, dict):
        return {name: concatenate([row[name] for row in rows]) for name in example}
    fields = [concatenate(list(values)) for values in zip(*rows, strict=True)]
    return EnvOutput(*fields) if isinstance(example, EnvOutput) else tuple(fields)


class JoinedEnvironment:
    """Several vectors step at the same time as one, whose row is complete when the slowest vector's row is.

    vectors: vectors in the order of their environments; also an attribute.
    num_threads: number of vectors that step at the same time.
    vector_indices: [B] int32, the index of the vector that each environment belongs to.
    tasks: [B] int32, the index of each environment's task.
    """

    def __init__(self, vectors: list[VectorEnvironment], num_threads: int):
        self.vectors = vectors
        sizes = [vector.num_envs for vector in vectors]
        self._ends = np.cumsum(sizes)
        self.num_envs = int(self._ends[-1])
        self.vector_indices = np.repeat(np.arange(len(vectors), dtype=np.int32), sizes)
        self.tasks = np.concatenate([vector.tasks for vector in vectors])
        # One thread would gain nothing.
        self._pool = ThreadPoolExecutor(num_threads, "environments") if num_threads > 1 else None

    def _call_all(self, method: Callable, *arguments: list) -> EnvOutput:
        call = self._pool.map if self._pool else map
        return concatenate(list(call(method, self.vectors, *arguments)))

    def reset(self) -> EnvOutput:
        """Begins an episode in every environment. Returns a row in which all are `first`."""
        return self._call_all(lambda vector: vector.reset())

    def step(self, actions: np.ndarray) -> EnvOutput:
        """Does what `VectorEnvironment.step` does."""
        return self._call_all(lambda vector, own: vector.step(own), np.split(actions, self._ends[:-1]))

    def close(self) -> None:
        """Ends the environments of all vectors."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
        for vector in self.vectors:
            vector.close()
