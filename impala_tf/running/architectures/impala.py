"""IMPALA (section 3): nobody waits for anybody, but for room in the queue."""

import functools
from collections.abc import Callable

import tensorflow as tf

from impala_tf.acting.base_actor import BaseActor
from impala_tf.running.architectures.turns import turn_to_act
from impala_tf.running.run import Run, after_update


def threads(run: Run) -> dict[str, Callable[[], None]]:
    """Returns what the run's threads do, by name."""
    return acting(run) | learning(run)


def acting(run: Run, wait_for_newer: Callable[[int], object] | None = None) -> dict[str, Callable[[], None]]:
    """Returns what the actors' threads do. wait_for_newer: see `act`."""
    return {f"actor {actor.index}": functools.partial(act, run, actor, wait_for_newer) for actor in run.actors}


def learning(run: Run) -> dict[str, Callable[[], None]]:
    """Returns what the stager and the learner do."""
    return {"stager": functools.partial(stage, run), "learner": functools.partial(learn, run)}


def act(run: Run, actor: BaseActor, wait_for_newer: Callable[[int], object] | None = None) -> None:
    """An actor's thread: weights in, unrolls out.

    The weights are taken inside the turn: while an actor waits for its turn the learner goes on, and what was taken
    before that wait would act several updates late. The turn ends when the queue has room for the unroll: if the others
    went on to act meanwhile, the learner would get their unrolls as much later.

    wait_for_newer: returns when there are newer weights than of the version that it is given, which is the one that
        the actor acted with last, or -1 before the first. It is called before the turn, so that actors that wait for
        an update hold no turn that another one needs to bring it about. None does not wait.
    """
    timer = run.metrics.timer
    version = -1
    with tf.device("/CPU:0"):
        while not run.crew.stopping:
            if wait_for_newer:
                with timer("weights"):
                    wait_for_newer(version)
            with turn_to_act(run):
                with timer("act"):
                    version, flat_weights = run.weights.latest()
                    unroll = actor.unroll(version, flat_weights)
                run.metrics.add_seconds("environment", actor.environment_secs)
                with timer("put"):
                    run.queue.put(unroll)


def stage(run: Run) -> None:
    """Makes the next batch ready on the learner's device while it learns from the last."""
    while not run.crew.stopping:
        batch = run.source.next()
        if "GPU" in run.learner.device:
            with tf.device(run.learner.device):
                batch = batch._replace(groups=tf.nest.map_structure(tf.identity, batch.groups))
        run.staged.put(batch)


def learn(run: Run) -> None:
    """The learner's thread: batches in, weights out, until the budget is used."""
    timer = run.metrics.timer
    while run.going:
        with timer("wait"):
            batch = run.staged.get()
        with timer("update"):
            result = run.learner.update(batch.groups, batch.fresh.num_steps)
        after_update(run, result, batch.fresh)
    run.crew.stop()
