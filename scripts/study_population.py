"""Compares a population of 4 with 4 fixed settings, on CartPole from bad starting values.

  python scripts/study_population.py            trains what is missing, kills the population once in the middle, resumes
  python scripts/study_population.py --seeds=0  only the table and the picture

The fixed settings are the values with which the members of the population start, so both begin with the same draws and
have the same number of frames for each run. docs/results/population.csv has every piece of the population,
population_fixed.csv a row for each run (seed, kind, final return), population.png both.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from reproducing import RESULTS, ROOT, machine, read, save, write

MEMBERS = 4
FLAGS = (
    f"--population={MEMBERS}", "--vary=learning_rate:1e-5:1e-2,entropy_cost:1e-4:1e-1,epsilon:1e-1/1e-3/1e-5/1e-7",
    "--learning_rate_schedule=constant", "--num_actors=1", "--num_envs_per_actor=64", "--interval_episodes=0",
    "--log_every_secs=2", "--score=return",
)  # fmt: skip


def command(scheduler: str, logdir: pathlib.Path, seed: int, frames: int) -> list[str]:
    """The command of a population, or with the scheduler random of fixed settings."""
    own = (f"--scheduler={scheduler}", f"--seed={seed}", f"--total_environment_frames={frames}", f"--logdir={logdir}")
    return [sys.executable, "-m", "impala_tf.population", *FLAGS, *own]


def train(scheduler: str, logdir: pathlib.Path, seed: int, frames: int, kill_after: int) -> None:
    """Runs to the end. kill_after: number of pieces after which the command is killed and given again; 0: never."""
    if (logdir / "best" / "saved_model").exists():
        return
    process = subprocess.Popen(command(scheduler, logdir, seed, frames), cwd=ROOT)
    while kill_after and process.poll() is None:
        if len(read(logdir / "population.csv")) >= kill_after:
            process.kill()
            process.wait()
            print(f"killed after {len(read(logdir / 'population.csv'))} pieces; going on", flush=True)
            process = subprocess.Popen(command(scheduler, logdir, seed, frames), cwd=ROOT)
            kill_after = 0
        time.sleep(0.2)
    if process.wait():
        sys.exit(process.returncode)


def final_returns(rows: list[dict[str, str]]) -> list[float]:
    """The return of each member after its last piece; 0 where no episode had ended."""
    last = {row["member"]: float(row["mean_return"]) for row in rows}
    return [0.0 if math.isnan(value) else value for value in last.values()]


def draw(histories: dict[str, list[dict[str, str]]], path: pathlib.Path) -> None:
    """The returns of the population and of the fixed settings, and the hyperparameters of the population."""
    names = ("mean_return", "learning_rate", "entropy_cost", "epsilon")
    figure, axes = plt.subplots(1, len(names), figsize=(4.6 * len(names), 3.8))
    for axis, name in zip(axes, names, strict=True):
        for kind, rows in histories.items():
            for member in sorted({row["member"] for row in rows}):
                own = [row for row in rows if row["member"] == member]
                frames = [int(row["environment_frames"]) / 1e6 for row in own]
                is_population = kind == "population"
                axis.plot(
                    frames,
                    [float(row[name]) for row in own],
                    color=f"C{member}",
                    linestyle="-" if is_population else ":",
                    linewidth=1.4,
                    label=f"{'member' if is_population else 'fixed'} {member}",
                )
                copies = [row for row in own if row["copied_from"]]
                axis.plot(
                    [int(row["environment_frames"]) / 1e6 for row in copies],
                    [float(row[name]) for row in copies],
                    "v",
                    color=f"C{member}",
                    markersize=5,
                )
        axis.set_xlabel("million frames of a member; triangles: it copies another")
        axis.set_title(name)
        axis.grid(alpha=0.3)
        if name != "mean_return":
            axis.set_yscale("log")
    axes[0].legend(fontsize=7)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="seeds 1 to this; 0: none is run, what is there is drawn")
    parser.add_argument("--frames", type=int, default=600_000, help="environment frames of each run")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="where tables and picture are written")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs" / "population", help="log directories")
    arguments = parser.parse_args()
    runs, results = arguments.runs.resolve(), arguments.results
    results.mkdir(parents=True, exist_ok=True)
    for seed in range(1, arguments.seeds + 1):
        train("population", runs / f"population{seed}", seed, arguments.frames, kill_after=MEMBERS * 6)
        train("random", runs / f"fixed{seed}", seed, arguments.frames, kill_after=0)
    pieces, table = [], []
    for path in sorted(runs.glob("population*/population.csv")):
        seed = path.parent.name.removeprefix("population")
        histories = {"population": read(path), "fixed": read(runs / f"fixed{seed}" / "population.csv")}
        pieces += [dict(seed=seed, kind=kind) | row for kind, rows in histories.items() for row in rows]
        found = {kind: final_returns(rows) for kind, rows in histories.items()}
        table.append(
            dict(
                seed=seed,
                population_best=f"{max(found['population']):.4g}",
                population_median=f"{statistics.median(found['population']):.4g}",
                fixed_best=f"{max(found['fixed']):.4g}",
                fixed_median=f"{statistics.median(found['fixed']):.4g}",
                frames_of_a_run=arguments.frames,
                copies=sum(row["copied_from"] != "" for row in histories["population"]),
            )
        )
        print(*(f"{name} {value}" for name, value in table[-1].items()), sep=", ")
        if seed == "1":
            draw(histories, results / "population.png")
    if not table:
        parser.error(f"--runs={arguments.runs}: holds no population")
    write(results / "population.csv", table)
    write(results / "population_curves.csv", pieces)
    commands = {
        kind: " ".join(command(kind, pathlib.Path("LOGDIR"), 1, arguments.frames)[1:])
        for kind in ("population", "random")
    }
    (results / "population_info.json").write_text(
        json.dumps(dict(commands=commands, machine=machine()), indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
