"""Compares corrections of the policy lag on MinAtar: Table 2 and figure E.1 of the paper at a small scale.

  python scripts/study_corrections.py                                    every cell, seeds 1 to 3, in hours
  python scripts/study_corrections.py --games=Breakout --replay=0        some of the cells
  python scripts/study_corrections.py --seeds=0                          only the picture and docs/results/*.json

A cell is a game, a part of replay, a policy lag and a correction. Every run is a training in a process of its own; when
it ends, its row is added to docs/results/corrections.csv and its curve to corrections_curves.csv. A run that is in the
table is not run again, one that was stopped goes on.
"""

import argparse
import itertools
import json
import pathlib
import shutil
import statistics
from collections.abc import Iterator
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from reproducing import RESULTS, ROOT, append, machine, read, save, train

CORRECTIONS = ("vtrace", "one_step", "epsilon", "none")
LAGS = (100, 10, 0)
BINS = 20  # Points of a curve; the last tenth of the frames is two of them.
FINAL_BINS = 2


class Cell(NamedTuple):
    """A setting of the study. The fields are columns of the table."""

    game: str
    replay: float
    lag: int
    correction: str

    def flags(self, frames: int) -> tuple[str, ...]:
        """The flags of impala_tf.experiment: one actor for one core, and what the cell sets."""
        replay = (f"--replay_fraction={self.replay}",) if self.replay else ()
        return (
            "--flagfile=flags/minatar.flags",
            f"--env_id=MinAtar/{self.game}-v0",
            *("--num_actors=1", "--num_envs_per_actor=64", f"--total_environment_frames={frames}"),
            *(f"--policy_lag={self.lag}", f"--correction={self.correction}", *replay),
            *("--log_every_secs=3", "--checkpoint_every_secs=600"),
        )

    def key(self, seed: int) -> tuple[str, ...]:
        return (*map(str, self), str(seed))


def runs_in_order(arguments: argparse.Namespace) -> Iterator[tuple[Cell, int]]:
    """Cells and seeds; the most telling come first: those without replay and with the largest lag."""
    replays, lags = (text.split(",") for text in (arguments.replay, arguments.lags))
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for replay, game, seed in itertools.product(replays, arguments.games.split(","), seeds):
        for lag, correction in itertools.product(lags, CORRECTIONS):
            yield Cell(game, float(replay), int(lag), correction), seed


def curve(episodes: list[dict[str, str]], frames: int) -> list[float]:
    """Mean return of the episodes that ended in each of `BINS` equal parts of the frames.

    A part in which no episode ended takes the part before it.
    """
    returns: list[list[float]] = [[] for _ in range(BINS)]
    for row in episodes:
        returns[min(BINS - 1, int(row["environment_frames"]) * BINS // frames)].append(float(row["episode_return"]))
    means: list[float] = []
    for part in returns:
        means.append(statistics.mean(part) if part else means[-1] if means else 0.0)
    return means


def summarise(logdir: pathlib.Path, frames: int) -> tuple[dict, list[float]]:
    """What the table says of a run, and its curve.

    final_return: mean of the episodes that ended in the last tenth of the frames. mean_return: mean of the curve.
    ratio_max: the median over the intervals of 3 s of the largest ratio pi / mu. Other columns are means over them.
    """
    metrics, returns = read(logdir / "metrics.csv"), curve(read(logdir / "episodes.csv"), frames)

    def over_run(column: str, how=statistics.mean) -> str:
        return f"{how(float(row[column]) for row in metrics):.4g}"

    row = {
        "frames": frames,
        "updates": metrics[-1]["updates"],
        "training_secs": f"{float(metrics[-1]['seconds']):.0f}",
        "final_return": f"{statistics.mean(returns[-FINAL_BINS:]):.4g}",
        "mean_return": f"{statistics.mean(returns):.4g}",
        "policy_lag_mean": over_run("policy_lag_mean"),
        "ratio_mean": over_run("ratio_mean"),
        "ratio_max": over_run("ratio_max", statistics.median),
        "ratio_clipped_fraction": over_run("ratio_clipped_fraction"),
        "final_entropy": f"{float(metrics[-1]['mean_entropy']):.4g}",
    }
    return row, returns


def run(cell: Cell, seed: int, arguments: argparse.Namespace) -> None:
    """Trains one seed of a cell unless the table has it, and adds it to the table."""
    table = arguments.results / "corrections.csv"
    if cell.key(seed) in {key_of(row) for row in read(table)}:
        return
    logdir = arguments.runs.resolve() / "_".join(cell.key(seed))
    train(cell.flags(arguments.frames), seed, logdir)
    row, returns = summarise(logdir, arguments.frames)
    named = cell._asdict() | dict(seed=seed)
    append(table, [named | row])
    points = {f"r{i + 1}": f"{value:.4g}" for i, value in enumerate(returns)}
    append(arguments.results / "corrections_curves.csv", [named | points])
    print(cell, f"seed {seed}: {row['final_return']}", flush=True)
    shutil.rmtree(logdir)


def key_of(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in (*Cell._fields, "seed"))


def draw(rows: list[dict[str, str]], path: pathlib.Path) -> None:
    """A panel for each game and part of replay: final return against the lag, median and range of seeds."""
    panels = list(dict.fromkeys((row["game"], row["replay"]) for row in rows))
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(5.5 * columns, 4 * lines), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for axis, (game, replay) in zip(axes.flat, panels, strict=False):
        own = [row for row in rows if (row["game"], row["replay"]) == (game, replay)]
        places = {lag: i for i, lag in enumerate(sorted({int(row["lag"]) for row in own}))}
        for i, correction in enumerate(CORRECTIONS):
            found: dict[int, list[float]] = {lag: [] for lag in places}
            for row in own:
                if row["correction"] == correction:
                    found[int(row["lag"])].append(float(row["final_return"]))
            # The corrections stand beside each other where they would hide each other.
            spreads = [
                (places[lag] + 0.06 * (i - 1.5), statistics.median(seeds), min(seeds), max(seeds))
                for lag, seeds in found.items()
                if seeds
            ]
            at, medians, lows, highs = zip(*spreads, strict=True) if spreads else ((),) * 4
            bars = [[m - low for m, low in zip(medians, lows, strict=True)]]
            bars += [[high - m for m, high in zip(medians, highs, strict=True)]]
            axis.errorbar(at, medians, bars, fmt="o-", markersize=4, capsize=3, linewidth=1, label=correction)
        axis.set_xticks(range(len(places)), map(str, places))
        axis.set_xlabel("--policy_lag, updates")
        axis.set_ylabel("final return")
        axis.set_title(f"{game}, replay {replay}")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", default="Breakout,SpaceInvaders", help="of MinAtar, with commas between them")
    parser.add_argument("--replay", default="0,0.5", help="parts of a batch that are replayed")
    parser.add_argument("--lags", default=",".join(map(str, LAGS)), help="values of --policy_lag")
    parser.add_argument("--frames", type=int, default=300_000, help="environment frames of each run")
    parser.add_argument("--first_seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3, help="how many; 0: none is run, what is there is drawn")
    parser.add_argument("--results", type=pathlib.Path, default=RESULTS, help="where tables and picture are written")
    parser.add_argument("--runs", type=pathlib.Path, default=ROOT / "runs" / "corrections", help="log directories")
    arguments = parser.parse_args()
    arguments.results.mkdir(parents=True, exist_ok=True)
    for cell, seed in runs_in_order(arguments):
        run(cell, seed, arguments)
    rows = read(arguments.results / "corrections.csv")
    if not rows:
        parser.error(f"--results={arguments.results}: has no corrections.csv")
    draw(rows, arguments.results / "corrections.png")
    command = " ".join(Cell("GAME", 0.0, 0, "CORRECTION").flags(arguments.frames)).replace("lag=0", "lag=LAG")
    info = dict(commands=dict(run=f"python -m impala_tf.experiment {command}"), machine=machine())
    (arguments.results / "corrections_info.json").write_text(json.dumps(info, indent=2) + "\n")


if __name__ == "__main__":
    main()
