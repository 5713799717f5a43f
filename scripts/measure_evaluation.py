"""What --evaluate_every_frames costs: a run's speed with the evaluator at work and at rest, by turns within one run.

  python scripts/measure_evaluation.py [--phases=60] [--secs=4] [-- flags of impala_tf.experiment]

By default CartPole. At work, one evaluation follows the other, the dearest case. Each phase at work is compared with
the one at rest after it: two runs of the same settings can differ by more than the evaluation costs.
"""

import argparse
import functools
import pathlib
import sys
import tempfile
import threading
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from impala_tf import environments
from impala_tf.records.logdir import LogDir
from impala_tf.support import command_line
from impala_tf.support.messages import warn
from impala_tf.support.startup import import_tensorflow

WARM_UP_SECS = 15.0  # Graphs are traced, and the policy learns to stay alive.
BUDGET = ("--total_environment_frames=1000000000", "--evaluate_every_frames=1")


def evaluate_always(run, working: threading.Event) -> None:
    """A thread of the run: evaluations as `Evaluator.work` makes them, while `working` is set."""
    import tensorflow as tf

    from impala_tf.evaluation.evaluator import wait_for_others
    from impala_tf.support.threads import Closed

    def pause(busy_secs: float) -> None:
        wait_for_others(run.crew, busy_secs)
        while not working.wait(0.05):
            if run.crew.stopping:
                raise Closed

    with tf.device("/CPU:0"):
        while not run.crew.stopping:
            run.evaluator.evaluate(run.learner.environment_frames, *run.weights.latest(), pause)


def measure(run, working: threading.Event, phases: int, secs: float) -> list[float]:
    """Frames/s of each phase, those of even number with the evaluator at work."""
    speeds: list[float] = []
    run.crew.wait(WARM_UP_SECS)
    for phase in range(phases):
        (working.clear if phase % 2 else working.set)()
        frames, began = run.learner.environment_frames, time.monotonic()
        if run.crew.wait(secs):
            break
        speeds.append((run.learner.environment_frames - frames) / (time.monotonic() - began))
        if phase % 2:
            print(f"at work {speeds[-2]:,.0f}, at rest {speeds[-1]:,.0f} frames/s", flush=True)
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phases", type=int, default=60, help="half of them with the evaluator at work")
    parser.add_argument("--secs", type=float, default=4.0, help="of a phase")
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    command_line.define_config_flags()
    with tempfile.TemporaryDirectory() as directory:
        command_line.parse([sys.argv[0], *arguments.flags, *BUDGET, f"--logdir={directory}"])
        config = command_line.config_from_flags()
        environments.spec_for_training(config)
        logdir = LogDir(config, warn)
        import_tensorflow()
        from impala_tf.running import architectures
        from impala_tf.running.wiring import connect

        run = connect(config, logdir)
        working = threading.Event()
        for name, work in architectures.THREADS[config.architecture](run).items():
            run.crew.start(name, work)
        run.crew.start("evaluator", functools.partial(evaluate_always, run, working))
        try:
            speeds = measure(run, working, arguments.phases, arguments.secs)
        finally:
            run.crew.stop()
            run.crew.join(20)
            run.metrics.close()
            for actor in run.actors:
                actor.close()
        if run.crew.error:
            raise run.crew.error
    ratios = np.array(speeds[: len(speeds) // 2 * 2]).reshape(-1, 2)
    ratios = ratios[:, 0] / ratios[:, 1]
    resampled = np.median(np.random.default_rng(0).choice(ratios, (10_000, len(ratios))), axis=1)
    low, high = np.percentile(resampled, [2.5, 97.5])
    print(f"at work / at rest: median {np.median(ratios):.3f} of {len(ratios)} pairs (95 %: {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
