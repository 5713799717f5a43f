"""Compares runs that start from CartPole's torso with runs from scratch, and writes docs/results/transfer*.

  python scripts/study_transfer.py                           seeds 1 to 3
  python scripts/study_transfer.py --starts=scratch,torso    two of the ways to start only
  python scripts/study_transfer.py --seeds=                  only collect and draw what is there

The source is CartPole-v1. The targets are two variants of it (transfer_tasks.py): one with a shorter pole, and one
whose observation has its four numbers in reverse order, so that the source's features mean nothing there. A run that is
finished is not made again, and one that was stopped goes on. All runs are made in this process, because starting
TensorFlow takes longer than training.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Collection

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from reproducing import RESULTS, ROOT, machine, read, save, write

import impala_tf

SOLVED = 475.0  # Mean return of 100 episodes, gymnasium's threshold for CartPole-v1.
SOURCE = "CartPole-v1"
TARGETS = {
    "short": "CartPole with a pole of 0.4 times the length",
    "reversed": "CartPole with its observation in reverse order",
}
# Each way to start a run of a target, by flags; {source} stands for the log directory of the source's run.
STARTS = {
    "scratch": (),
    "torso": ("--init_from={source}", "--init_parts=torso"),
    "torso_frozen": ("--init_from={source}", "--init_parts=torso", "--freeze=torso"),
    "all": ("--init_from={source}",),
}
FRAMES = 500_000  # Budget of each run.
GRID = 100  # Points of a curve in the picture.


def finish(flags: tuple[str, ...], seed: int, logdir: pathlib.Path) -> None:
    """Makes a run, goes on with it, or leaves it alone if it is finished. Exits when it was stopped."""
    marker = logdir / "finished"
    if marker.exists():
        return
    settings = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    # Rows of metrics are close, so that the frames to a return are exact.
    budget = dict(total_environment_frames=FRAMES, log_every_secs=0.2)
    summary = impala_tf.train(impala_tf.Config(**settings, **budget, seed=seed, logdir=str(logdir)))
    if summary.environment_frames < FRAMES:
        sys.exit(f"{logdir}: was stopped after {summary.environment_frames:,} of {FRAMES:,} frames; start again")
    marker.touch()


def flags_of(target: str, start: str, source: pathlib.Path | str) -> tuple[str, ...]:
    """Returns the flags of a run, without the budget. source: log directory of the source's run with the same seed."""
    own = f"--env_id=scripts.transfer_tasks:{target.capitalize()}CartPole-v0"
    return (own, *(flag.format(source=source) for flag in STARTS[start]))


def run_seed(seed: int, runs: pathlib.Path, starts: Collection[str] = tuple(STARTS)) -> None:
    source = runs / f"source_{seed}"
    finish((f"--env_id={SOURCE}",), seed, source)
    for target in TARGETS:
        for start in starts:
            finish(flags_of(target, start, source), seed, runs / f"{target}_{start}_{seed}")


def curve_of(logdir: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the frames, the mean return of the last 100 episodes, and the episodes of a run's rows of metrics."""
    rows = [row for row in read(logdir / "metrics.csv") if row["episode_return_last_100"] != "nan"]
    names = ("environment_frames", "episode_return_last_100", "episodes")
    frames, returns, episodes = (np.array([float(row[name]) for row in rows]) for name in names)
    return frames, returns, episodes


def summarise(target: str, start: str, seed: int, logdir: pathlib.Path) -> dict:
    """Returns a row of the table. mean_return: mean over the frames of the run, the area under its curve."""
    frames, returns, episodes = curve_of(logdir)
    solved = frames[(returns >= SOLVED) & (episodes >= 100)]
    grid = np.linspace(0, FRAMES, 1001)
    return {
        "target": target,
        "start": start,
        "seed": seed,
        "frames_to_475": f"{solved[0]:.0f}" if len(solved) else "",
        "mean_return": f"{np.interp(grid, frames, returns).mean():.1f}",
        "final_mean_return": f"{returns[-1]:.1f}",
    }


def collect(runs: pathlib.Path) -> tuple[list[dict], list[dict]]:
    """Returns the rows of the table and of the curves, of every finished run of a target."""
    table, curves = [], []
    grid = np.linspace(0, FRAMES, GRID + 1)[1:]
    for target in TARGETS:
        for start in STARTS:
            found = [path.parent for path in runs.glob(f"{target}_{start}_[0-9]*/finished")]
            for logdir in sorted(found, key=lambda path: int(path.name.rpartition("_")[2])):
                seed = int(logdir.name.rpartition("_")[2])
                table.append(summarise(target, start, seed, logdir))
                frames, returns, _ = curve_of(logdir)
                for x, y in zip(grid, np.interp(grid, frames, returns), strict=True):
                    row = {"target": target, "start": start, "seed": seed, "environment_frames": f"{x:.0f}"}
                    curves.append(row | {"episode_return_last_100": f"{y:.1f}"})
    return table, curves


def draw(curves: list[dict], path: pathlib.Path) -> None:
    """Draws a panel for each target: the mean of the seeds for each start, and the range of the seeds."""
    figure, axes = plt.subplots(1, len(TARGETS), figsize=(5 * len(TARGETS), 3.8), sharey=True)
    for axis, (target, title) in zip(axes, TARGETS.items(), strict=True):
        for start in STARTS:
            own = [row for row in curves if (row["target"], row["start"]) == (target, start)]
            seeds = sorted({row["seed"] for row in own})
            if not seeds:
                continue
            values = np.array([[float(r["episode_return_last_100"]) for r in own if r["seed"] == s] for s in seeds])
            frames = [float(row["environment_frames"]) / 1e3 for row in own if row["seed"] == seeds[0]]
            (line,) = axis.plot(frames, values.mean(0), label=start.replace("_", ", "), linewidth=1.2)
            axis.fill_between(frames, values.min(0), values.max(0), color=line.get_color(), alpha=0.15)
        axis.axhline(SOLVED, color="gray", linestyle=":", linewidth=1)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("thousand environment frames")
        axis.grid(alpha=0.3)
        if axis.lines[1:]:
            axis.legend(fontsize=8)
    axes[0].set_ylabel("mean return of the last 100 episodes")
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1,2,3", help="with commas between them")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="where tables and picture are written")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs" / "transfer", help="log directories")
    parser.add_argument("--starts", default=",".join(STARTS), help="with commas between them")
    arguments = parser.parse_args()
    runs, results = arguments.runs.resolve(), arguments.results
    for seed in filter(None, arguments.seeds.split(",")):
        run_seed(int(seed), runs, arguments.starts.split(","))
    table, curves = collect(runs)
    if not table:
        parser.error(f"--runs={arguments.runs}: holds no finished run")
    results.mkdir(parents=True, exist_ok=True)
    write(results / "transfer.csv", table)
    write(results / "transfer_curves.csv", curves)
    command = f"python -m impala_tf.experiment --total_environment_frames={FRAMES}"
    commands = {"source": f"{command} --env_id={SOURCE}"}
    for target, start in dict.fromkeys((row["target"], row["start"]) for row in table):
        commands[f"{target}, {start}"] = " ".join([command, *flags_of(target, start, "SOURCE")])
    info = dict(commands=commands, machine=machine())
    (results / "transfer_info.json").write_text(json.dumps(info, indent=2) + "\n")
    draw(curves, results / "transfer.png")
    for row in table:
        print("  ".join(f"{name} {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
