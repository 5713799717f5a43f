"""IMPALA (section 3): nobody waits for anybody, but for room in the queue."""

import functools
from collections.abc import Callable

import tensorflow as tf

from impala_tf.acting.actor import BaseActor
from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.running.run import Run, after_update


def threads(run: Run) -> dict[str, Callable[[], None]]:
    """What the run's threads do, by name."""
    return acting(run, lambda version: run.weights.latest()) | learning(run)


def acting(run: Run, next_weights: Callable) -> dict[str, Callable[[], None]]:
    return {f"actor {actor.index}": functools.partial(act, run, actor, next_weights) for actor in run.actors}


def learning(run: Run) -> dict[str, Callable[[], None]]:
    return {"stager": functools.partial(stage, run), "learner": functools.partial(learn, run)}


def act(run: Run, actor: BaseActor, next_weights: Callable) -> None:
    """An actor's thread: weights in, unrolls out.

    next_weights: from the version that it acted with last, -1 before the first, to (version, flat weights).
    """
    timer = run.metrics.timer
    version = -1
    with tf.device("/CPU:0"):
        while not run.crew.stopping:
            with timer("weights"):
                version, flat_weights = next_weights(version)
            with timer("turn"):
                run.turns.acquire()
            try:
                with timer("act"):
                    unroll = actor.unroll(version, flat_weights)
            finally:
                run.turns.release()
            run.metrics.add_seconds("environment", actor.environment_secs)
            with timer("put"):
                run.queue.put(unroll)


def stage(run: Run) -> None:
    """Makes the next batch ready on the learner's device while it learns from the last."""
    while not run.crew.stopping:
        batch = run.queue.get()
        with run.metrics.timer("batch"):
            statistics = batch_statistics(batch)
            if "GPU" in run.learner.device:
                with tf.device(run.learner.device):
                    batch = tf.nest.map_structure(tf.identity, batch)
        run.staged.put((batch, statistics))


def learn(run: Run) -> None:
    """The learner's thread: batches in, weights out, until the budget is used."""
    timer = run.metrics.timer
    while run.going:
        with timer("wait"):
            batch, statistics = run.staged.get()
        with timer("update"):
            result = run.learner.update(batch, statistics.num_steps)
        after_update(run, result, statistics)
    run.crew.stop()
