"""Trains CartPole with several seeds and writes what docs/cartpole.md shows: a table and the curves of all seeds.

  python scripts/reproduce_cartpole.py --seeds=10 --name=cartpole
  python scripts/reproduce_cartpole.py --seeds=3 --name=woo --flagfile=flags/cartpole_woo.flags

Every seed is a run of `python -m impala_tf.experiment` in a process of its own, followed by a greedy evaluation of its
export. Seeds that are already in the table are not run again. Writes docs/results/NAME.csv (a row a seed) and
docs/results/NAME_curves.csv (return against environment frames).
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

from reproducing import append, read

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOLVED = 475.0  # Mean return of 100 episodes, gymnasium's threshold for CartPole-v1.


def run_seed(seed: int, flags: list[str], threshold: float) -> tuple[dict, list[dict]]:
    """Trains and evaluates; (row of the table, rows of the curve)."""
    with tempfile.TemporaryDirectory() as directory:
        logdir = pathlib.Path(directory)
        command = [sys.executable, "-m", "impala_tf.experiment", *flags, f"--seed={seed}", f"--logdir={logdir}"]
        started = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True)
        wall = time.perf_counter() - started
        metrics = read(logdir / "metrics.csv")
        model = logdir / "saved_model"
        command = [sys.executable, "-m", "impala_tf.evaluate", f"--saved_model={model}", "--greedy"]
        subprocess.run(command, cwd=ROOT, check=True)
        greedy = json.loads((logdir / "saved_model_greedy.json").read_text())
    last = metrics[-1]
    # Before 100 episodes the running mean is over fewer.
    reached = [r for r in metrics if float(r["episode_return_last_100"]) >= threshold and int(r["episodes"]) >= 100]
    row = {
        "seed": seed,
        "environment_frames": last["environment_frames"],
        "updates": last["updates"],
        "episodes": last["episodes"],
        "training_secs": f"{float(last['seconds']):.1f}",
        "wall_secs": f"{wall:.1f}",
        "frames_per_sec": f"{int(last['environment_frames']) / float(last['seconds']):.0f}",
        "frames_to_threshold": reached[0]["environment_frames"] if reached else "",
        "secs_to_threshold": f"{float(reached[0]['seconds']):.1f}" if reached else "",
        "final_mean_return": f"{float(last['episode_return_last_100']):.1f}",
        "greedy_mean_return": f"{greedy['mean']:.1f}",
        "greedy_min_return": f"{greedy['min']:g}",
    }
    curve = [
        {"seed": seed} | {name: r[name] for name in ("environment_frames", "seconds", "episode_return_last_100")}
        for r in metrics
    ]
    return row, curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="seeds 1 to this are run")
    parser.add_argument("--name", default="cartpole", help="name of the files in --results")
    parser.add_argument(
        "--results", type=pathlib.Path, default=ROOT / "docs" / "results", help="where they are written"
    )
    parser.add_argument("--threshold", type=float, default=SOLVED, help="mean return of 100 episodes to reach")
    arguments, flags = parser.parse_known_args()
    results = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    table = results / f"{arguments.name}.csv"
    done = {int(row["seed"]) for row in read(table)}
    for seed in range(1, arguments.seeds + 1):
        if seed not in done:
            row, curve = run_seed(seed, flags, arguments.threshold)
            append(results / f"{arguments.name}_curves.csv", curve)
            append(table, [row])
    for row in read(table):
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
