"""Has IMPALA (section 3): actors wait for room in the queue only, and the learner for batches."""

import functools
from collections.abc import Callable

import tensorflow as tf

from impala_tf.acting.base_actor import BaseActor
from impala_tf.experience.source import Batch
from impala_tf.experience.void_batch import void_batch
from impala_tf.running.architectures.turns import turn_to_act
from impala_tf.running.run import Run, after_update
from impala_tf.running.sources import batch_form
from impala_tf.settings.contradictions import WAITING
from impala_tf.support.threads import Closed


def threads(run: Run) -> dict[str, Callable[[], None]]:
    """Returns the work of each thread, by name."""
    if run.feeder:
        return {"feeder": functools.partial(run.feeder.work, run.crew)} | learning(run)
    return acting(run) | learning(run)


def acting(run: Run, wait_for_newer: Callable[[int], object] | None = None) -> dict[str, Callable[[], None]]:
    """Returns the work of the actors' threads, by name. wait_for_newer: argument of `act`."""
    return {f"actor {actor.index}": functools.partial(act, run, actor, wait_for_newer) for actor in run.actors}


def learning(run: Run) -> dict[str, Callable[[], None]]:
    """Returns the work of the stager's and the learner's threads, by name."""
    return {"stager": functools.partial(stage, run), "learner": functools.partial(learn, run)}


def act(run: Run, actor: BaseActor, wait_for_newer: Callable[[int], object] | None = None) -> None:
    """Does an actor's work: takes weights and makes unrolls, until the crew is stopping.

    The weights are taken inside the turn: the learner goes on while an actor waits for its turn, so weights from before
    that wait would be several updates old. The turn ends when the unroll is in the queue: if another actor acted while
    it waits for room, the learner would get that actor's unrolls later by the wait.

    wait_for_newer: function that returns when there are newer weights than the version that it is given. That is the
        version with which the actor acted last, or -1 before the first. It is called before the turn, so that an actor
        that waits for an update holds no turn that another actor needs for it. None does not wait.
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
    """Puts the next batch on the learner's device while the learner learns from the last."""
    while not run.crew.stopping:
        run.metrics.enter("get")
        batch = run.source.next()
        if "GPU" in run.learner.device:
            with tf.device(run.learner.device):
                groups, marks = tf.nest.map_structure(tf.identity, (batch.groups, batch.marks))
                batch = batch._replace(groups=groups, marks=marks)
        run.metrics.enter("hand")
        run.staged.put(batch)


def learn(run: Run) -> None:
    """Does the learner's work: takes batches and publishes weights, until the budget is used.

    With --exact_resume it also takes the last minibatches of the batch with which the budget is used.
    """
    timer = run.metrics.timer
    publishes = True
    while run.going or (run.exact and not publishes):
        with timer("wait"):
            batch = next_batch(run)
        ends = run.crew.stopping
        with timer("update"):
            result = run.learner.update(batch.groups, batch.statistics.num_steps, batch.marks, ends)
        # Actors that wait for new weights would begin too early, if they got those of an update in between.
        publishes = batch.is_last_use or run.config.architecture not in WAITING
        after_update(run, result, batch.statistics, publishes)
        if not ends and result.advantage_tm1 is not None:
            run.source.learned(batch, result.advantage_tm1)
    run.crew.stop()


def next_batch(run: Run) -> Batch:
    """Returns the staged batch; a void one when the run is stopped, but other learners wait for this one's gradients.

    Raises Closed when the run is stopped and the learner is alone.
    """
    try:
        return run.staged.get()
    except Closed:
        if run.learner.learners.size == 1:
            raise
        return void_batch(run.queue.spec, *batch_form(run.config, run.queue, run.learner), run.learner.updates)
