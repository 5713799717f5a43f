"""Makes the queue of unrolls, and the source of the learner's batches behind it."""

import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from impala_tf.config import Config
from impala_tf.experience.replay import ReplaySource, check_memory, in_mib
from impala_tf.experience.replay_buffer import ReplayBuffer
from impala_tf.experience.reuse import ReuseSource
from impala_tf.experience.source import QueueSource
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.interfaces import Source
from impala_tf.learning.learner import Learner
from impala_tf.running.actors import unrolls_at_once
from impala_tf.settings.replay import importance_exponent, num_replayed
from impala_tf.support.messages import warn


def make_queue(config: Config, spec: UnrollSpec) -> UnrollQueue:
    """Makes the queue. It gives a batch without the unrolls that are replayed."""
    # Replayed unrolls come in groups of the same size.
    num_envs = math.gcd(unrolls_at_once(config), num_replayed(config))
    return UnrollQueue(spec, config.batch_size - num_replayed(config), num_envs, config.queue_capacity)


def make_source(
    config: Config,
    queue: UnrollQueue,
    learner: Learner,
    random: np.random.Generator,
    timer: Callable[[str], AbstractContextManager],
) -> Source:
    """Makes the source of batches: the queue, behind it replay, behind that what learns several times from a batch.

    random: generator of the run's seeds. timer: argument of the sources.
    """
    oldest = functools.partial(_oldest_version, config, learner)
    # Only there do the unrolls of a batch follow from the seed, whoever put them first.
    source: Source = QueueSource(queue, timer, oldest, by_actor=config.architecture == "a2c_sync_trajectory")
    if num_replayed(config):
        size = check_memory(queue.spec, config.replay_capacity)
        warn(f"replay: up to {config.replay_capacity:,} unrolls, which take {in_mib(size)}")
        exponent = config.replay_priority_exponent if config.replay_sampling == "prioritised" else 0.0
        buffer = ReplayBuffer(queue.spec, config.replay_capacity, int(random.integers(2**31)), exponent)
        weights = functools.partial(_importance_exponent, config, learner)
        source = ReplaySource(source, buffer, num_replayed(config), weights, timer, oldest)
    needs = learner.objective.algorithm.needs
    if needs.buffer_batches * needs.batch_uses * needs.minibatches > 1:
        source = ReuseSource(source, needs, int(random.integers(2**31)))
    return source


def batch_form(config: Config, queue: UnrollQueue, learner: Learner) -> tuple[int, int]:
    """Returns the number of groups in a batch of `make_source`, and the number of unrolls in a group."""
    num_parts = learner.objective.algorithm.needs.minibatches
    if num_parts > 1:
        return 1, config.batch_size // num_parts
    return config.batch_size // queue.group, queue.group


def _oldest_version(config: Config, learner: Learner) -> int:
    return learner.updates - config.max_policy_lag if config.max_policy_lag else 0


def _importance_exponent(config: Config, learner: Learner) -> float:
    return importance_exponent(config, learner.environment_frames)
