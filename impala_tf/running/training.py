"""Runs the threads of the architecture, supervises them and finishes the run."""

import contextlib
import functools
import sys
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tqdm

from impala_tf.config import Config, environment_settings
from impala_tf.evaluation.export import export
from impala_tf.learning.cluster import ALONE, Learners
from impala_tf.records import bottleneck
from impala_tf.records.logdir import BEST_MODEL, FAILURE, SAVED_MODEL, LogDir
from impala_tf.records.profile import Profile
from impala_tf.records.summary import Summary, write_summary
from impala_tf.running import architectures, ending, followers
from impala_tf.running.actors import rows_per_call
from impala_tf.running.doings import Doing
from impala_tf.running.run import Run, save
from impala_tf.running.watchdog import Watchdog
from impala_tf.running.wiring import connect
from impala_tf.support import signals
from impala_tf.support.diverged import Diverged
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.support.messages import number, warn
from impala_tf.support.named_by_files import go_on
from impala_tf.support.threads import Closed, RunError

POLL_SECS = 0.1  # The main thread checks for signals so often.


def supervise(run: Run, request: signals.Request) -> list[Doing]:
    """Writes metrics, shows progress and heeds signals in the main thread, until the threads have ended.

    Returns what those are at that have not.
    """
    interval = 0.5 if sys.stderr.isatty() else 10.0
    profile = Profile(run.logdir.path, run.metrics) if run.config.profile else None
    with tqdm.tqdm(
        total=run.config.total_environment_frames,
        initial=run.learner.environment_frames,
        unit="frames",
        unit_scale=True,
        mininterval=interval,
        maxinterval=interval,
        dynamic_ncols=True,
        disable=not run.is_chief,
    ) as bar:
        bar.set_postfix_str("building graphs")
        try:
            while not wait(run, request, run.config.log_every_secs, profile):
                show(run, bar)
        finally:
            if profile:
                profile.stop()
                if not profile.done:
                    warn("--profile: the run ended before its trace began")
        left = [] if run.learner.learners.lost else ending.join(run, functools.partial(in_a_hurry, run, request))
        show(run, bar)
    return left


def in_a_hurry(run: Run, request: signals.Request) -> bool:
    """Returns whether somebody waits for the end of the run."""
    return request.made or run.crew.error is not None


def start(run: Run) -> None:
    """Starts the threads of the architecture, and the watchdog."""
    for name, work in architectures.THREADS[run.config.architecture](run).items():
        run.crew.start(name, work)
    if run.config.stall_secs:
        run.crew.start("watchdog", Watchdog(run).work)


def wait(run: Run, request: signals.Request, seconds: float, profile: Profile | None) -> bool:
    """Waits until the crew is stopping, at most `seconds`. Returns whether it is."""
    deadline = time.monotonic() + seconds
    while not run.crew.wait(min(POLL_SECS, max(0.0, deadline - time.monotonic()))):
        if request.made:
            run.crew.stop()
        if profile:
            profile.tick()
        if time.monotonic() >= deadline:
            return False
    return True


def show(run: Run, bar: tqdm.tqdm) -> None:
    """Writes a row of metrics and moves the progress bar."""
    run.metrics.write_row(run.queue.size())
    mean = run.metrics.mean_return()
    text = "no episode has ended" if np.isnan(mean) else f"return {number(mean)}"
    bar.set_postfix_str(f"{text}, lag {run.metrics.last_lag:.1f}", refresh=False)
    bar.update(run.learner.environment_frames - bar.n)


def train(
    config: Config,
    logdir: LogDir,
    make_torso: Callable | None = None,
    shape_rewards: Callable | None = None,
    learners: Learners = ALONE,
) -> Summary:
    """Trains until the budget is used, a thread fails, or SIGINT or SIGTERM comes; then saves and exports.

    learners: all learners of the run.

    Raises the exception that came first, after saving what had been learned before it. When another learner is gone,
    that is LearnersLost, and nothing is saved.
    """
    run = connect(config, logdir, make_torso, shape_rewards, learners)
    logdir.write_settings(config)
    with signals.requests() as request:
        start(run)
        if run.evaluator:
            frames = functools.partial(getattr, run.learner, "environment_frames")
            run.crew.start("evaluator", functools.partial(run.evaluator.work, run.crew, frames, run.weights.latest))
        try:
            left = supervise(run, request)
        except Exception as error:  # The terminal is closed.
            run.crew.stop(error)
            left = ending.join(run, lambda: True)
        if learners.lost:
            raise learners.lost
        if run.learner.all_end and run.is_chief and not request.made and not run.crew.error:
            warn("another learner asked all to end")
        summary = Summary(
            run.learner.environment_frames,
            run.learner.updates,
            run.metrics.episodes,
            run.metrics.mean_return(),
            run.metrics.seconds,
            explain_time(run),
            logdir,
        )
        try:
            finish(run, summary, request, left)
            if run.is_chief and not (request.made and run.evaluator):  # Otherwise evaluations may be missing.
                with ending.writing("the summary"):
                    write_summary(summary)
        finally:
            if learners.size > 1 and not run.going:  # Otherwise they do not end by agreement.
                followers.wait_for_chief(learners)
    return summary


def explain_time(run: Run) -> str:
    """Says where the time of the run went; see `bottleneck.py`."""
    seconds = bottleneck.Seconds(*(run.metrics.total_seconds(name) for name in bottleneck.Seconds._fields))
    rows = rows_per_call(run.config)
    if run.config.architecture == "a3c":
        return bottleneck.explain_workers(seconds, rows)
    return bottleneck.explain(seconds, rows, run.config.batch_size, run.config.architecture)


def finish(run: Run, summary: Summary, request: signals.Request, left: list[Doing]) -> None:
    """Saves, exports, closes, and raises the error that ended the run, if one did. left: result of `supervise`."""
    errors = [run.crew.error] if run.crew.error else []
    failure = run.crew.error
    for step in (
        lambda: failure.keep_trace(run.logdir.path / FAILURE) if isinstance(failure, EnvironmentFailure) else None,
        lambda: run.metrics.write_text("bottleneck", summary.bottleneck),
        lambda: save_at_end(run, left),
        lambda: export_newest(run, left),
        lambda: export_best(run, request),
        run.metrics.close,
        lambda: ending.close(run.actors, left, in_a_hurry(run, request)),
    ):
        try:
            step()
        except Exception as error:
            if errors:
                warn(f"after the error: {'' if isinstance(error, RunError) else f'{type(error).__name__}: '}{error}")
            errors.append(error)
    if errors:
        if run.is_chief and run.checkpoints.paths():
            warn(go_on(run.config, run.logdir.path, run.learner.environment_frames))
        raise errors[0]


def save_at_end(run: Run, left: list[Doing]) -> None:
    """Saves a checkpoint; where numbers were not finite, takes the weights of the last one.

    Only the chief of several learners does.

    left: result of `supervise`. Raises RunError when it cannot be written.
    """
    if not run.is_chief:
        return
    if ending.is_updating(left):
        warn("the weights may still change: not saved; the checkpoints before are kept")
        return
    if isinstance(run.crew.error, Diverged):
        take_last_checkpoint(run)
        return
    with ending.writing("the last checkpoint"):
        save(run)


def export_newest(run: Run, left: list[Doing]) -> None:
    """Exports the learner's weights; the arguments and errors are those of `save_at_end`."""
    if run.is_chief and not ending.is_updating(left):
        with ending.writing("the export"):
            export(run.learner.agent, run.logdir.path / SAVED_MODEL, export_info(run))


def take_last_checkpoint(run: Run) -> None:
    """Gives the learner the state of the last checkpoint; without one it has the weights before the last update."""
    saved = run.checkpoints.load_newest(warn)
    if saved:
        run.learner.restore(saved[0])
    kept = "as in the last checkpoint, which is kept" if saved else "and there is no checkpoint yet"
    warn(f"the weights of update {run.learner.updates} are exported, {kept}")


def export_info(run: Run) -> dict:
    """Returns the description that stands beside an export's model, for `evaluate` and --teacher."""
    return dict(environment=environment_settings(run.config), action_scale_init=run.config.action_scale_init)


def export_best(run: Run, request: signals.Request) -> None:
    """Evaluates the weights at the end of the budget and exports the best ones, with --evaluate_every_frames.

    Other episodes than those of their choice give their score, unless a signal asks the run to stop.
    """

    def pause(busy_secs: float) -> None:
        if request.made:
            raise Closed

    evaluator = run.evaluator
    if evaluator is None:
        return
    frames = run.learner.environment_frames
    at_end = frames >= run.config.total_environment_frames
    episodes = f"{run.config.evaluate_num_episodes} episodes of each task"

    def play() -> None:
        with tf.device("/CPU:0"):
            if at_end and not run.crew.error and not evaluator.has_evaluated(frames):
                warn(f"evaluating the weights at the end, {episodes}")
                evaluator.evaluate(frames, run.learner.updates, run.learner.agent.flat_weights(), pause)
            if evaluator.best and evaluator.best.score is None and not run.crew.error and not request.made:
                warn(f"evaluating the best weights with other seeds, {episodes}")
                evaluator.score_best(pause)

    with contextlib.suppress(Closed):
        ending.unless_it_hangs("the evaluation", play, request)
    if evaluator.best:
        info = export_info(run) | dict(best=evaluator.best.description())
        with ending.writing("the export of the best weights"):
            export(evaluator.best_agent(), run.logdir.path / BEST_MODEL, info)
