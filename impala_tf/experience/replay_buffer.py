"""Keeps the newest unrolls in numpy arrays and draws from them, uniformly or by priority."""

import math
import threading
from typing import NamedTuple

import numpy as np

from impala_tf.experience import unroll_writer
from impala_tf.experience.unroll_spec import UnrollSpec, map_leaves
from impala_tf.types import TIME_MAJOR_FIELDS, Unroll

SMALLEST_PRIORITY = 1e-6  # It is added, so that an unroll with an advantage of 0 can be drawn.


class Drawn(NamedTuple):
    """These N unrolls were drawn; the same one may be drawn twice.

    groups: arrays in groups of unrolls, [num_groups, ...].
    serials: [N] int64, how many unrolls were inserted before each.
    weights: [N] float32, importance weights, at most 1.
    """

    groups: Unroll
    serials: np.ndarray
    weights: np.ndarray


class ReplayBuffer:
    """Holds the newest `capacity` of the unrolls that were inserted: first in, first out.

    Unroll i is drawn with probability P(i) = p_i^exponent / sum_k p_k^exponent, and its importance weight is
    (N P(i))^-importance_exponent, divided by the largest of those drawn (Schaul et al. 2016, section 3). One thread
    may draw while another sets priorities.

    seed: seed that decides what is drawn.
    exponent: power of the priorities; 0 draws uniformly.

    has_priorities: whether priorities make a difference.
    """

    def __init__(self, spec: UnrollSpec, capacity: int, seed: int, exponent: float = 0.0):
        self.capacity = capacity
        self.has_priorities = exponent > 0
        self._spec = spec
        self._exponent = exponent
        self._random = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._num_inserted = 0
        self._mass = np.zeros(capacity)  # p_i^exponent; 0 where there is no unroll.
        # A slot holds one unroll without its B axis: [capacity, rows, ...], or [capacity, ...] for fields without rows.
        self._slots = map_leaves(
            lambda name, leaf: unroll_writer.allocate((capacity, *_slot_shape(spec, name, leaf)), leaf.dtype), spec
        )

    @property
    def num_unrolls(self) -> int:
        """Returns how many unrolls can be drawn."""
        return int(np.count_nonzero(self._mass))

    def insert(self, groups: Unroll) -> np.ndarray:
        """Adds unrolls in the place of the oldest. They get the largest priority, as theirs is not known yet.

        groups: unrolls in groups [num_groups, ...], on the CPU.

        Returns their serial numbers, [num_groups * group] int64.
        """
        num_groups, group = groups.actor.shape
        assert num_groups * group <= self.capacity
        with self._lock:
            serials = self._num_inserted + np.arange(num_groups * group)
            slots = serials % self.capacity

            def write(name, leaf, array, values):
                array[slots.reshape(num_groups, group)] = _swapped(name, np.asarray(values))

            map_leaves(write, self._spec, self._slots, groups)
            self._mass[slots] = self._mass.max() or 1.0
            self._num_inserted += len(serials)
        return serials

    def draw(self, num_groups: int, group: int, importance_exponent: float = 0.0) -> Drawn:
        """Draws unrolls with replacement. At least one must be there.

        num_groups, group: number of groups, and of unrolls in each.
        importance_exponent: 0 makes all weights 1, and 1 makes up for the priorities in full.
        """
        with self._lock:
            cumulative = np.cumsum(self._mass)
            total = cumulative[-1]
            assert total > 0, "the buffer is empty"
            # No multiple of `total` that is drawn may round up to it; no slot would follow.
            targets = np.minimum(self._random.random(num_groups * group) * total, np.nextafter(total, 0.0))
            slots = np.searchsorted(cumulative, targets, side="right")
            mass = self._mass[slots]  # N and the sum of all cancel out in the quotient of two weights.
            serials = self._serials()[slots]

            def read(name, leaf, array):
                return _swapped(name, array[slots.reshape(num_groups, group)])

            groups = map_leaves(read, self._spec, self._slots)
        return Drawn(groups, serials, ((mass.min() / mass) ** importance_exponent).astype(np.float32))

    def set_priorities(self, serials: np.ndarray, priorities: np.ndarray) -> None:
        """Gives unrolls [N] their priorities [N], which are at least 0. Those that are gone are passed over."""
        with self._lock:
            slots = serials % self.capacity
            there = (self._serials()[slots] == serials) & (self._mass[slots] > 0)
            self._mass[slots[there]] = (priorities[there] + SMALLEST_PRIORITY) ** self._exponent

    def drop_before(self, version: int) -> int:
        """Drops the unrolls of policy versions before this one; returns how many."""
        with self._lock:
            too_old = (self._mass > 0) & (self._slots.policy_version < version)
            self._mass[too_old] = 0.0
        return int(np.count_nonzero(too_old))

    def _serials(self) -> np.ndarray:
        """Returns the serial number of the unroll in each slot, [capacity]; below 0 where there was none."""
        newest = self._num_inserted - 1
        return newest - (newest - np.arange(self.capacity)) % self.capacity


def num_bytes(spec: UnrollSpec) -> int:
    """Returns how many bytes one unroll takes. Texts count as the references that the array has."""
    sizes: list[int] = []
    map_leaves(lambda name, leaf: sizes.append(math.prod(_slot_shape(spec, name, leaf)) * leaf.dtype.itemsize), spec)
    return sum(sizes)


def _slot_shape(spec: UnrollSpec, name: str, leaf) -> tuple[int, ...]:
    """Returns the shape of a leaf of one unroll, without a B axis."""
    shape = spec.shape(1, name, leaf)
    return (shape[0], *shape[2:]) if name in TIME_MAJOR_FIELDS else shape[1:]


def _swapped(name: str, array: np.ndarray) -> np.ndarray:
    """[G, rows, group, ...] <-> [G, group, rows, ...] for fields with rows; others have no rows to swap."""
    return np.swapaxes(array, 1, 2) if name in TIME_MAJOR_FIELDS else array
