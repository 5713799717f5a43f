"""Stores versioned weights, which the learner publishes and the actors read."""

import collections
import threading
from collections.abc import Callable

import tensorflow as tf

from impala_tf.support.threads import Closed


class WeightStore:
    """This store has the newest weights, or with `lag` those published `lag` times before (figure E.1 of the paper).

    Versions are the learner's update counts, so the difference of two versions is the policy lag in updates.
    """

    def __init__(self, lag: int = 0):
        self._condition = threading.Condition()
        self._closed = False
        self._published: collections.deque[tuple[int, tf.Tensor]] = collections.deque(maxlen=lag + 1)
        self._listeners: list[Callable[[tf.Tensor], None]] = []

    def add_listener(self, listener: Callable[[tf.Tensor], None]) -> None:
        """Calls listener(flat_weights) in the publishing thread, before `latest` changes to them."""
        self._listeners.append(listener)

    def publish(self, version: int, flat_weights: tf.Tensor) -> None:
        """Makes these weights the newest. Only one thread may publish at a time.

        Listeners are called first, so that their weights are in place when an actor sees the new version.
        """
        published = collections.deque([*self._published, (version, flat_weights)], self._published.maxlen)
        for listener in self._listeners:
            listener(published[0][1])
        with self._condition:
            self._published = published
            self._condition.notify_all()

    def latest(self) -> tuple[int, tf.Tensor]:
        """Returns (version, flat weights [num_parameters] float32)."""
        with self._condition:
            return self._published[0]

    def newer_than(self, version: int) -> tuple[int, tf.Tensor]:
        """Waits until `latest` is newer than `version`, and returns it. Raises Closed when the store is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._published[0][0] > version)
            if self._closed:
                raise Closed
            return self._published[0]

    def close(self) -> None:
        """Wakes the threads that wait in `newer_than`."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def reopen(self) -> None:
        """Forgets all weights, and lets threads wait for newer ones again; the listeners stay."""
        with self._condition:
            self._closed = False
            self._published.clear()
