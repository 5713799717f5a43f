"""Draws a run from its CSV files: the three figures of the CartPole report, and return against environment frames.

  python scripts/plot_run.py runs/woo                      -> runs/woo/plots/*.png
  python scripts/plot_run.py runs/seed1 runs/seed2 --output=docs/results/plots
  python scripts/plot_run.py --curves=docs/results/cartpole_curves.csv --output=docs/results/plots

The first three figures show the first log directory; the last shows all of them, or the seeds of a curves file.
"""

import argparse
import csv
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

SOLVED = 475.0


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Columns of a CSV file."""
    if not path.is_file():
        sys.exit(f"plot_run: {path} does not exist; give the log directory of a run")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    if not rows:
        sys.exit(f"plot_run: {path} has no rows yet")
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name != "task"}


def save(figure, output: pathlib.Path, name: str) -> None:
    output.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(output / f"{name}.png", dpi=120)
    plt.close(figure)
    print(output / f"{name}.png")


def plot_episodes(logdir: pathlib.Path, output: pathlib.Path) -> None:
    """Scores of the single episodes, by actor."""
    episodes = read(logdir / "episodes.csv")
    actors = np.unique(episodes["actor"])
    figure, axes = plt.subplots(len(actors), 1, figsize=(8, 1.2 + 1.4 * len(actors)), sharex=True, squeeze=False)
    for axis, actor in zip(axes[:, 0], actors, strict=True):
        chosen = episodes["actor"] == actor
        axis.plot(episodes["episode_return"][chosen], ".", markersize=2)
        axis.set_ylabel(f"actor {actor:.0f}")
    axes[0, 0].set_title("return of each episode")
    axes[-1, 0].set_xlabel("episodes of the actor")
    save(figure, output, "episodes")


def plot_losses(metrics: dict[str, np.ndarray], output: pathlib.Path) -> None:
    figure, axes = plt.subplots(2, 1, figsize=(8, 6), sharex=True)
    axes[0].plot(metrics["updates"], metrics["baseline"])
    axes[0].set_ylabel("baseline loss, summed")
    axes[1].plot(metrics["updates"], metrics["mean_entropy"])
    axes[1].set_ylabel("policy entropy, nats")
    axes[1].set_xlabel("learner steps")
    save(figure, output, "losses")


def plot_ratios_and_times(metrics: dict[str, np.ndarray], output: pathlib.Path) -> None:
    figure, axes = plt.subplots(2, 1, figsize=(8, 6), sharex=True)
    for name in ("max", "mean", "min"):
        axes[0].plot(metrics["updates"], metrics[f"ratio_{name}"], label=name)
    axes[0].set_ylabel("importance ratio pi / mu")
    axes[0].legend()
    for name in ("update", "batch"):
        if not np.all(np.isnan(metrics[f"secs/{name}"])):
            # Without the first row: the first update traces and compiles.
            axes[1].plot(metrics["updates"][1:], 1000 * metrics[f"secs/{name}"][1:], label=name)
    axes[1].set_ylabel("ms per learner step")
    axes[1].set_xlabel("learner steps")
    axes[1].legend()
    save(figure, output, "ratios_and_times")


def plot_returns(curves: list[tuple[str, np.ndarray, np.ndarray]], output: pathlib.Path) -> None:
    """curves: (name, environment frames, mean return of the last 100 episodes)."""
    figure, axis = plt.subplots(figsize=(8, 5))
    for name, frames, returns in curves:
        axis.plot(frames, returns, label=name, linewidth=1)
    axis.axhline(SOLVED, color="gray", linestyle="--", linewidth=1)
    axis.set_xlabel("environment frames")
    axis.set_ylabel("mean return of the last 100 episodes")
    axis.legend(fontsize="small")
    save(figure, output, "returns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logdirs", nargs="*", type=pathlib.Path)
    parser.add_argument("--curves", type=pathlib.Path, help="a curves file of scripts/reproduce_cartpole.py")
    parser.add_argument("--output", type=pathlib.Path, help="directory for the pictures; default: LOGDIR/plots")
    arguments = parser.parse_args()
    if not arguments.logdirs and not (arguments.curves and arguments.output):
        parser.error("give a log directory, or --curves and --output")
    output = arguments.output or arguments.logdirs[0] / "plots"
    curves = []
    for logdir in arguments.logdirs:
        metrics = read(logdir / "metrics.csv")
        curves.append((logdir.name, metrics["environment_frames"], metrics["episode_return_last_100"]))
    if arguments.curves:
        table = read(arguments.curves)
        for seed in np.unique(table["seed"]):
            chosen = table["seed"] == seed
            returns = table["episode_return_last_100"][chosen]
            curves.append((f"seed {seed:.0f}", table["environment_frames"][chosen], returns))
    if arguments.logdirs:
        plot_episodes(arguments.logdirs[0], output)
        metrics = read(arguments.logdirs[0] / "metrics.csv")
        plot_losses(metrics, output)
        plot_ratios_and_times(metrics, output)
    plot_returns(curves, output)


if __name__ == "__main__":
    main()
