"""Makes the queue of unrolls, and the source of the learner's batches behind it."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from impala_tf.config import Config
from impala_tf.experience.replay import ReplaySource, check_memory, in_mib
from impala_tf.experience.replay_buffer import ReplayBuffer
from impala_tf.experience.reuse import BatchSource, ReuseSource
from impala_tf.experience.source import QueueSource
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.interfaces import Source
from impala_tf.running.actors import unrolls_at_once
from impala_tf.settings.replay import num_replayed
from impala_tf.support.messages import warn
from impala_tf.types import Needs


def make_queue(config: Config, spec: UnrollSpec) -> UnrollQueue:
    """Makes the queue. It gives a batch without the unrolls that are replayed."""
    # Replayed unrolls come in groups of the same size.
    num_envs = math.gcd(unrolls_at_once(config), num_replayed(config))
    return UnrollQueue(spec, config.batch_size - num_replayed(config), num_envs, config.queue_capacity)


def make_source(
    config: Config,
    queue: UnrollQueue,
    needs: Needs,
    random: np.random.Generator,
    timer: Callable[[str], AbstractContextManager],
) -> Source:
    """Makes the source of batches: the queue, behind it replay, behind that what learns several times from a batch.

    needs: needs of the algorithm. random: generator of the run's seeds. timer: argument of the sources.
    """
    source: BatchSource = QueueSource(queue, timer)
    if num_replayed(config):
        size = check_memory(queue.spec, config.replay_capacity)
        warn(f"replay: up to {config.replay_capacity:,} unrolls, which take {in_mib(size)}")
        buffer = ReplayBuffer(queue.spec, config.replay_capacity, int(random.integers(2**31)))
        source = ReplaySource(source, buffer, num_replayed(config), timer)
    if needs.buffer_batches * needs.batch_uses * needs.minibatches > 1:
        source = ReuseSource(source, needs, int(random.integers(2**31)))
    return source
