"""Measures a real training run between its start-up and its end."""

import dataclasses
import tempfile
import time
from typing import NamedTuple

from impala_tf.benchmarks.measure import Rate, cpu_secs
from impala_tf.config import Config
from impala_tf.records.logdir import LogDir
from impala_tf.running import ending, training, wiring
from impala_tf.running.run import Run

WARM_UP_SECS = 1.0  # The measurement begins so long after everything is compiled.
START_SECS = 180.0  # Compiling may take so long.
ENDLESS_FRAMES = 10**15  # No measurement reaches this budget.


class RunMeasurement(NamedTuple):
    """These numbers were measured in one run.

    rate: agent steps of the learner per second, and CPU seconds per step.
    own_cpu_secs_per_step: the part of these CPU seconds in this process, without its children.
    lag_mean, lag_max: policy lag, updates.
    mean_return: mean return of the last 100 episodes.
    bottleneck: text that says what limits the run; see `records/bottleneck.py`.
    secs: mean seconds of each kind of work and waiting, by the name of its timer, such as "act" and "update".
    """

    rate: Rate
    own_cpu_secs_per_step: float
    lag_mean: float
    lag_max: float
    mean_return: float
    bottleneck: str
    secs: dict[str, float]


def measure(config: Config, secs: float) -> RunMeasurement:
    """Trains with all threads for about `secs`. Raises what a thread raised."""
    with tempfile.TemporaryDirectory() as directory:
        config = dataclasses.replace(config, logdir=directory, total_environment_frames=ENDLESS_FRAMES)
        run = wiring.connect(config, LogDir(config, warn=lambda line: None))
        training.start(run)
        try:
            _wait_for_start(run)
            _wait(run, WARM_UP_SECS)
            run.metrics.write_row(run.queue.size())
            frames, cpu, started = run.learner.environment_frames, cpu_secs(), time.perf_counter()
            own_cpu = time.process_time()
            _wait(run, secs)
            steps = max(1, (run.learner.environment_frames - frames) // config.num_action_repeats)
            rate = Rate(steps / (time.perf_counter() - started), (cpu_secs() - cpu) / steps)
            own_cpu_secs_per_step = (time.process_time() - own_cpu) / steps
            row = run.metrics.write_row(run.queue.size()) or {}
            return RunMeasurement(
                rate,
                own_cpu_secs_per_step,
                row.get("policy_lag_mean", float("nan")),
                row.get("policy_lag_max", float("nan")),
                run.metrics.mean_return(),
                training.explain_time(run),
                {name.removeprefix("secs/"): value for name, value in row.items() if name.startswith("secs/")},
            )
        finally:
            run.crew.stop()
            run.crew.join(ending.JOIN_SECS)
            run.metrics.close()
            ending.close(run.actors, [], in_a_hurry=False)


def _wait_for_start(run: Run) -> None:
    """Waits until there was an update and every actor has begun its third call; in another process, until it is there.

    By then an A3C worker has compiled its gradients, too. Raises RuntimeError where that takes too long.
    """
    deadline = time.monotonic() + START_SECS
    while not (
        run.learner.updates
        and all(actor.num_graph_calls >= 2 for actor in run.actors)
        and (run.feeder is None or run.feeder.traffic.actors == run.config.num_actors)
    ):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not every actor and the learner had begun to work after {START_SECS:g} s")
        _wait(run, 0.02)


def _wait(run: Run, secs: float) -> None:
    if run.crew.wait(secs):
        raise run.crew.error or RuntimeError("the run ended by itself")
