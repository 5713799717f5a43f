"""Trains runs in pieces: a run is stopped and saved, and another goes on with its graphs."""

import dataclasses
import time
from typing import NamedTuple

from impala_tf.config import Config
from impala_tf.learning.optimizers import Hyperparameters, hyperparameters_of
from impala_tf.records.logdir import LogDir
from impala_tf.running import ending
from impala_tf.running.run import Run, save
from impala_tf.running.training import POLL_SECS, start
from impala_tf.running.wiring import connect, connect_to
from impala_tf.support.diverged import Diverged

# Runs may differ in these settings and share their graphs. The schedules must not depend on the budget.
FREE = {*Hyperparameters._fields, "logdir", "seed", "total_environment_frames"}


class Piece(NamedTuple):
    """A piece says how far a run has come.

    environment_frames, updates, episodes: counts of the run.
    mean_returns: mean return of the last 100 episodes of each task; nan before any.
    diverged: text of the error when an update was not finite, else "".
    """

    environment_frames: int
    updates: int
    episodes: int
    mean_returns: dict[str, float]
    diverged: str = ""


class Pieces:
    """Trains one piece after the other in this process, of the same run or of others with the same network.

    The first piece of a run makes its graphs. A later piece takes the graphs of the piece before it, of whichever run,
    and gets its weights, its counters and new environments.
    """

    def __init__(self) -> None:
        self._run: Run | None = None

    def train(self, config: Config, logdir: LogDir, until_episodes: int = 0) -> Piece:
        """Trains until `config.total_environment_frames`, then saves a checkpoint in the log directory.

        until_episodes: number of the run's episodes at which it stops earlier; 0 means none.

        Raises the exception that ended a thread, and RuntimeError when a thread does not end.
        """
        last, self._run = self._run, None
        fits = last is not None and logdir.checkpoint and _shared(config) == _shared(last.config)
        run = _reconnect(last, config, logdir) if last is not None and fits else connect(config, logdir)
        try:
            logdir.write_settings(config)
            diverged = _train(run, until_episodes)
        finally:
            run.metrics.close()
            ending.close(run.actors, [], in_a_hurry=False)
        self._run = run
        counts = run.learner.environment_frames, run.learner.updates, run.metrics.episodes
        return Piece(*counts, run.metrics.mean_returns(), diverged)


def _shared(config: Config) -> dict:
    """Returns the settings that runs which share graphs have in common."""
    return {name: value for name, value in dataclasses.asdict(config).items() if name not in FREE}


def _reconnect(last: Run, config: Config, logdir: LogDir) -> Run:
    """Connects the learner and the acting graphs of a run that has ended to new other components."""
    last.learner.hyperparameters = hyperparameters_of(config)
    last.weights.reopen()
    graphs = {actor.index: actor.graph for actor in last.actors}
    for graph in graphs.values():
        graph.forget_actors()
    return connect_to(config, logdir, last.learner, last.weights, last.queue.spec, graphs.__getitem__)


def _train(run: Run, until_episodes: int) -> str:
    """Runs the threads and saves. Returns the text of the error when an update was not finite, else ""."""
    start(run)
    row_due = time.monotonic() + run.config.log_every_secs
    while not run.crew.wait(POLL_SECS):
        if 0 < until_episodes <= run.metrics.episodes:
            run.crew.stop()
        if time.monotonic() >= row_due:
            run.metrics.write_row(run.queue.size())
            row_due += run.config.log_every_secs
    stuck = run.crew.join(ending.JOIN_SECS)
    if stuck:
        raise RuntimeError(f"{', '.join(stuck)} did not end within {ending.JOIN_SECS:g} s")
    run.metrics.write_row(run.queue.size())
    if isinstance(run.crew.error, Diverged):
        return str(run.crew.error)
    if run.crew.error:
        raise run.crew.error
    save(run)
    return ""
