"""Versioned weights: published by the learner, read by the actors."""

import collections
import threading
from collections.abc import Callable

import tensorflow as tf


class WeightStore:
    """The newest weights, or with `lag` those published `lag` times before (figure E.1 of the paper).

    Versions are the learner's update counts, so the difference of two versions is the policy lag in updates.
    """

    def __init__(self, lag: int = 0):
        self._lock = threading.Lock()
        self._published: collections.deque[tuple[int, tf.Tensor]] = collections.deque(maxlen=lag + 1)
        self._listeners: list[Callable[[tf.Tensor], None]] = []

    def add_listener(self, listener: Callable[[tf.Tensor], None]) -> None:
        """Calls listener(flat_weights) in the publishing thread, each time that `latest` changes."""
        self._listeners.append(listener)

    def publish(self, version: int, flat_weights: tf.Tensor) -> None:
        with self._lock:
            self._published.append((version, flat_weights))
        for listener in self._listeners:
            listener(self.latest()[1])

    def latest(self) -> tuple[int, tf.Tensor]:
        """(version, flat weights [num_parameters] float32)."""
        with self._lock:
            return self._published[0]
