"""Holds the components of a run, on which the threads of the architectures work."""

from typing import NamedTuple

import numpy as np

from impala_tf.acting.base_actor import BaseActor
from impala_tf.config import Config
from impala_tf.evaluation.evaluator import Evaluator
from impala_tf.experience.batch_statistics import BatchStatistics
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.weights import WeightStore
from impala_tf.interfaces import Source
from impala_tf.learning.learner import Learner, UpdateResult
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.logdir import LogDir
from impala_tf.records.metrics import Metrics
from impala_tf.running.exact import ExactResume
from impala_tf.running.hosts.feeder import Feeder
from impala_tf.support.messages import warn
from impala_tf.support.threads import Crew, Slot, Turns


class Run(NamedTuple):
    """A run has the components that `wiring.connect` makes and connects.

    random: generator of the run's seeds; its state is part of a checkpoint.
    queue: queue into which actors put unrolls. source: source of the learner's batches, behind the queue.
    staged: slot for the learner's next batch, which is made ready while it learns from the last.
    turns: turns to act, as many as actors may act at the same time.
    crew: threads of the run.
    evaluator: evaluator during training; None without --evaluate_every_frames.
    feeder: learner's side of actors in other processes; None where `actors` has them.
    exact: what resumes to the bit; None without --exact_resume.
    """

    config: Config
    logdir: LogDir
    random: np.random.Generator
    learner: Learner
    weights: WeightStore
    queue: UnrollQueue
    source: Source
    staged: Slot
    actors: list[BaseActor]
    turns: Turns
    metrics: Metrics
    checkpoints: Checkpoints
    crew: Crew
    evaluator: Evaluator | None
    feeder: Feeder | None
    exact: ExactResume | None = None

    @property
    def going(self) -> bool:
        """Returns whether nobody has stopped the run and its budget is not used.

        Several learners end with the same update, so a stopped crew does not end an own one before the others.
        """
        learner = self.learner
        stopped = self.crew.stopping if learner.learners.size == 1 else learner.all_end
        return (
            not stopped
            and not learner.has_diverged
            and learner.environment_frames < self.config.total_environment_frames
        )

    @property
    def is_chief(self) -> bool:
        """Returns whether this learner keeps the records of the run."""
        return self.learner.learners.index == 0


def after_update(run: Run, result: UpdateResult, batch: BatchStatistics, publishes: bool = True) -> None:
    """Publishes the new weights, records the update, and saves a checkpoint when one is due.

    With --exact_resume the weights are published last: until then the actors stand still.

    publishes: whether actors get the new weights.
    """
    learner = run.learner
    if publishes and not run.exact:
        run.weights.publish(learner.updates, result.flat_weights)
    if learner.skipped and str(learner.num_skipped).strip("0") == "1":  # It is said of the 1st, 10th, 100th, ...
        warn(f"skipped {learner.num_skipped}: update {learner.updates} {learner.skipped}")
    run.metrics.record(learner.environment_frames, learner.updates, learner.learning_rate, batch, result.metrics)
    if run.exact and publishes:
        run.exact.mark()
    if (publishes or not run.exact) and run.checkpoints.due(learner.updates):
        run.metrics.enter("save")
        _save_if_possible(run)
        run.metrics.enter("")
    if run.exact and publishes:
        run.weights.publish(learner.updates, result.flat_weights)


def _save_if_possible(run: Run) -> None:
    try:
        save(run)
    except OSError as error:
        if run.checkpoints.put_off(run.learner.updates):
            warn(
                f"the checkpoint of update {run.learner.updates} cannot be written ({error.strerror}); the run goes "
                "on, keeps those before, and tries again when the next one is due"
            )


def save(run: Run) -> None:
    """Writes a checkpoint. With --exact_resume it is of the last point from which a run can be resumed to the bit.

    What was recorded before it is on the disk first. Raises OSError when it cannot be written.
    """
    run.metrics.write_row(run.queue.size(), sync=True)
    if run.exact:
        run.checkpoints.save(*run.exact.saved())
        return
    info = dict(metrics=run.metrics.state(), random=run.random.bit_generator.state)
    run.checkpoints.save(run.learner.updates, run.learner.state(), info)
