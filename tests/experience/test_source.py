"""Batches and what is fresh in them."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.experience.source import QueueSource
from tests.support.unrolls import B, T, make_batch


class OneBatch:
    """A queue that closes after one batch."""

    def __init__(self, events):
        self.events = events
        self.batch = make_batch()
        self.batch_size = B

    def get(self):
        self.events.append("get")
        if self.events.count("get") > 1:
            raise tf.errors.OutOfRangeError(None, None, "closed")
        return self.batch


def test_all_of_a_queues_batch_is_fresh_and_the_wait_is_not_timed():
    events = []

    @contextlib.contextmanager
    def timer(name):
        events.append(f"{name} begins")
        yield
        events.append(f"{name} ends")

    queue = OneBatch(events)
    source = QueueSource(queue, timer)
    batch = source.next()
    assert batch.groups is queue.batch
    resets = np.count_nonzero(queue.batch.env_outputs.first.numpy()[:, 1:])
    assert batch.statistics.num_steps == T * B - resets < T * B
    with pytest.raises(tf.errors.OutOfRangeError):
        source.next()
    assert events == ["get", "batch begins", "batch ends", "get"]
