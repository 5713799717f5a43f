"""Has shared memory between the learner's process and the hosts of this machine: unrolls one way, weights the other."""

import contextlib
import os
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.config import SettingError
from impala_tf.experience.unroll_spec import UnrollSpec, map_leaves
from impala_tf.types import ArraySpec, Unroll

ALIGNMENT = 64  # TensorFlow takes arrays without a copy only where they begin at a multiple of this many bytes.
SLOTS = 2  # A host writes its next unroll while the last one goes into the queue.
SHM = "/dev/shm"


def check_room(size: int) -> None:
    """Raises SettingError where shared memory has no room for `size` bytes; writing past it would kill the process."""
    if os.path.isdir(SHM):
        room = os.statvfs(SHM)
        free = room.f_bavail * room.f_frsize
        if free < size:
            raise SettingError(
                f"--actor_backend=processes: needs {size / 2**20:,.0f} MiB of {SHM}, of which {free / 2**20:,.0f} are "
                "free; make it larger (docker run --shm-size), or give fewer actors or environments"
            )


def close(memory: SharedMemory, unlink: bool) -> None:
    """Closes shared memory, and removes it with `unlink`."""
    with contextlib.suppress(BufferError):  # Somebody still holds an array; the memory goes with it.
        memory.close()
    if unlink:
        memory.unlink()


class UnrollMemory:
    """Holds two unrolls of all environments of an actor, which a host writes in turn.

    Texts are objects of Python and have no place in it; they travel beside it.

    spec: spec of one unroll. num_envs, group: arguments of `UnrollWriter`.
    name: name of memory that another process has made; "" makes it.
    """

    def __init__(self, spec: UnrollSpec, num_envs: int, group: int, name: str = ""):
        self._like = spec.leaves
        arrays = map_leaves(
            lambda field, leaf: ArraySpec((num_envs // group, *spec.shape(group, field, leaf)), leaf.dtype), spec
        )
        places: list[tuple[int, tuple[int, ...], Any] | None] = []  # Offset, shape and dtype of each leaf.
        size = 0
        for array in tf.nest.flatten(arrays):
            dtype = np.dtype(array.dtype)
            if dtype.hasobject:
                places.append(None)
                continue
            places.append((size, array.shape, dtype))
            num_bytes = dtype.itemsize * int(np.prod(array.shape))
            size += -(-num_bytes // ALIGNMENT) * ALIGNMENT
        self.size = SLOTS * size
        self._made = not name
        self._memory = SharedMemory(name, size=self.size) if name else SharedMemory(create=True, size=self.size)
        self._slots = [
            [
                None if place is None else np.ndarray(place[1], place[2], self._memory.buf, slot * size + place[0])
                for place in places
            ]
            for slot in range(SLOTS)
        ]

    @property
    def name(self) -> str:
        return self._memory.name

    def write(self, slot: int, unroll: Unroll) -> list[np.ndarray]:
        """Writes an unroll. Returns the leaves that have no place."""
        without = []
        for array, leaf in zip(self._slots[slot], tf.nest.flatten(unroll), strict=True):
            if array is None:
                without.append(leaf)
            else:
                array[...] = leaf
        return without

    def read(self, slot: int, without: list[np.ndarray]) -> Unroll:
        """Returns the unroll as arrays that share this memory. without: what `write` returned."""
        rest = iter(without)
        return tf.nest.pack_sequence_as(
            self._like, [next(rest) if array is None else array for array in self._slots[slot]]
        )

    def close(self) -> None:
        self._slots = []
        close(self._memory, unlink=self._made)


class WeightMemory:
    """Holds the versions of the weights with which hosts act now, each of them once.

    A version's memory is used again when no host acts with it any more, so there are at most as many as hosts, and one.
    """

    def __init__(self) -> None:
        self._memories: dict[str, SharedMemory] = {}
        self._versions: dict[str, int] = {}
        self._name_of_host: dict[int, str] = {}
        self.num_puts = 0

    def put(self, host: int, version: int, flat_weights: Any) -> str:
        """Returns the name of the memory that has this version, for a host that acts with it until its next `put`."""
        self._name_of_host.pop(host, None)
        name = next((name for name, held in self._versions.items() if held == version), None)
        if name is None:
            weights = np.asarray(flat_weights)
            used = set(self._name_of_host.values())
            name = next((name for name in self._memories if name not in used), None)
            if name is None:
                memory = SharedMemory(create=True, size=weights.nbytes)
                name = memory.name
                self._memories[name] = memory
            np.ndarray(weights.shape, weights.dtype, self._memories[name].buf)[...] = weights
            self._versions[name] = version
            self.num_puts += 1
        self._name_of_host[host] = name
        return name

    def close(self) -> None:
        for memory in self._memories.values():
            close(memory, unlink=True)
        self._memories = {}
