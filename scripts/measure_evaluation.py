"""What --evaluate_every_frames costs the run: frames/s with and without it, by turns.

  python scripts/measure_evaluation.py [--pairs=3] [-- flags of impala_tf.experiment]

By default CartPole with --evaluate_every_frames=200000, where an evaluation is due again before the last one has ended:
the evaluator is always at work, which is the dearest case. Frames/s are those of the second half of a run, without the
evaluation at its end.
"""

import argparse
import csv
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def frames_per_sec(flags: list[str]) -> tuple[float, int]:
    """Of one run; and how many evaluations it made."""
    with tempfile.TemporaryDirectory() as logdir:
        command = [sys.executable, "-m", "impala_tf.experiment", *flags, f"--logdir={logdir}", "--log_every_secs=0.5"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        rows = list(csv.DictReader((pathlib.Path(logdir) / "metrics.csv").open()))
        evaluations = pathlib.Path(logdir) / "evaluations.csv"
        num_evaluations = len(list(csv.DictReader(evaluations.open()))) if evaluations.exists() else 0
    middle, last = rows[len(rows) // 2], rows[-1]
    frames, secs = (float(last[name]) - float(middle[name]) for name in ("environment_frames", "seconds"))
    return frames / secs, num_evaluations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="runs of each kind")
    parser.add_argument("--every", type=int, default=200_000, help="frames between evaluations")
    parser.add_argument("flags", nargs="*", default=["--total_environment_frames=6000000"])
    arguments = parser.parse_args()
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(arguments.pairs):
        for evaluates in (True, False):
            flags = [f"--evaluate_every_frames={arguments.every}"] if evaluates else []
            speed, num_evaluations = frames_per_sec([*arguments.flags, *flags])
            speeds[evaluates].append(speed)
            print(
                f"{'with' if evaluates else 'without'}: {speed:,.0f} frames/s, {num_evaluations} evaluations",
                flush=True,
            )
    ratio = statistics.median(speeds[True]) / statistics.median(speeds[False])
    print(f"medians: {ratio:.3f} of the speed without evaluation")


if __name__ == "__main__":
    main()
