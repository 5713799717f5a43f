"""Has A3C (Mnih et al. 2016): each worker learns from its own unrolls, and gradients travel instead of experience.

A worker computes the gradients with the weights that it acted with; meanwhile others change the shared ones. There
is no queue and no learner thread. The losses are the same: on-policy, V-trace is the n-step return.
"""

import functools
import threading
from collections.abc import Callable

import tensorflow as tf

from impala_tf.acting.base_actor import BaseActor
from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.learning.gradients import GradientWorker
from impala_tf.running.architectures.turns import turn_to_act
from impala_tf.running.run import Run, after_update


def threads(run: Run) -> dict[str, Callable[[], None]]:
    """Returns the work of each thread, by name."""
    lock = threading.Lock()
    return {f"worker {actor.index}": functools.partial(work, run, actor, lock) for actor in run.actors}


def work(run: Run, actor: BaseActor, lock: threading.Lock) -> None:
    """Does a worker's work until the budget is used.

    lock: lock of the shared weights, held from the step along the gradients until the weights are published, so
        that each version is published once and in order.
    """
    timer = run.metrics.timer
    worker = GradientWorker(run.learner.objective.of(actor.agent), run.learner.uses_xla)
    with tf.device("/CPU:0"):
        while run.going:
            with turn_to_act(run), timer("act"):
                version, flat_weights = run.weights.latest()
                unroll = tf.nest.map_structure(tf.convert_to_tensor, actor.unroll(version, flat_weights))
            run.metrics.add_seconds("environment", actor.environment_secs)
            with timer("gradient"):
                actor.agent.assign_flat_weights(flat_weights)
                gradients = worker.gradients(unroll, run.learner.scheduled)
            fresh = batch_statistics(unroll)
            with timer("wait"):
                lock.acquire()
            try:
                if run.going:
                    with timer("update"):
                        result = run.learner.apply(*gradients, fresh.num_steps)
                    after_update(run, result, fresh)
            finally:
                lock.release()
    run.crew.stop()
