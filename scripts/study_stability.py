"""Compares how many settings an architecture works with: figure 4 of the paper, on CartPole.

  python scripts/study_stability.py                  24 random settings with each architecture, in half an hour or so
  python scripts/study_stability.py --settings=0     only the picture

A setting is a learning rate, an entropy cost and RMSProp's epsilon, drawn from the ranges of the paper's table D.1
scaled to CartPole. All architectures get the same settings. When a run ends, its row is added to
docs/results/stability.csv; a run that is in the table is not run again. The picture has the final returns of each
architecture in descending order, as the paper's.
"""

import argparse
import math
import pathlib
import random
import shutil
import statistics
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from reproducing import RESULTS, ROOT, append, read, save, train

ARCHITECTURES = {
    "impala": "flags/cartpole.flags",
    "a2c_sync_trajectory": "flags/cartpole_a2c_sync_trajectory.flags",
    "a3c": "flags/cartpole_a3c.flags",
}


class Setting(NamedTuple):
    """The fields are flags of impala_tf.experiment and columns of the table."""

    learning_rate: float
    entropy_cost: float
    epsilon: float


def settings(count: int) -> list[Setting]:
    """The first `count` of an endless list that is the same in each call."""
    draw = random.Random(2018)
    return [
        Setting(
            learning_rate=float(f"{log_uniform(draw, 1e-4, 5e-2):.3g}"),
            entropy_cost=float(f"{log_uniform(draw, 5e-5, 1e-2):.3g}"),
            epsilon=draw.choice((1e-1, 1e-3, 1e-5, 1e-7)),
        )
        for _ in range(count)
    ]


def log_uniform(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def final_return(logdir: pathlib.Path, frames: int) -> float:
    """Mean return of the episodes that ended in the last tenth of the frames; 0 where none did."""
    episodes = read(logdir / "episodes.csv")
    last = [float(row["episode_return"]) for row in episodes if int(row["environment_frames"]) > 0.9 * frames]
    return statistics.mean(last) if last else 0.0


def run(architecture: str, index: int, setting: Setting, arguments: argparse.Namespace) -> None:
    """Trains one setting with one architecture unless the table has it, and adds it to the table."""
    table = arguments.results / "stability.csv"
    if (architecture, str(index)) in {(row["architecture"], row["setting"]) for row in read(table)}:
        return
    logdir = arguments.runs.resolve() / f"{architecture}_{index}"
    given = tuple(f"--{name}={value}" for name, value in setting._asdict().items())
    flags = (f"--flagfile={ARCHITECTURES[architecture]}", f"--total_environment_frames={arguments.frames}", *given)
    train(flags, 1, logdir)
    row = dict(architecture=architecture, setting=index) | setting._asdict() | dict(frames=arguments.frames)
    append(table, [row | dict(final_return=f"{final_return(logdir, arguments.frames):.4g}")])
    shutil.rmtree(logdir)


def draw(rows: list[dict[str, str]], path: pathlib.Path) -> None:
    figure, axis = plt.subplots(figsize=(6, 4))
    for architecture in ARCHITECTURES:
        returns = sorted(
            (float(row["final_return"]) for row in rows if row["architecture"] == architecture), reverse=True
        )
        axis.plot(range(1, len(returns) + 1), returns, "o-", markersize=3, linewidth=1, label=architecture)
    axis.set_xlabel("settings, in the order of their return")
    axis.set_ylabel("final return")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=int, default=24, help="how many; 0: none is run, what is there is drawn")
    parser.add_argument("--frames", type=int, default=500_000, help="environment frames of each run")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="where table and picture are written")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs" / "stability", help="log directories")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    for index, setting in enumerate(settings(arguments.settings)):
        for architecture in ARCHITECTURES:
            run(architecture, index, setting, arguments)
    rows = read(arguments.results / "stability.csv")
    if not rows:
        parser.error(f"--results={arguments.results}: has no stability.csv")
    draw(rows, arguments.results / "stability.png")


if __name__ == "__main__":
    main()
