"""Measures frames/s and policy lag against the number of actors, their environments, unroll length and batch size."""

import contextlib
import csv
import dataclasses
import pathlib
import statistics
from collections.abc import Iterator
from typing import Any

from impala_tf.benchmarks import training_run
from impala_tf.config import Config, SettingError

FACTORS = (0.25, 0.5, 1, 2, 4)  # Each setting takes these multiples of its value, one setting at a time.
SETTINGS = ("num_actors", "num_envs_per_actor", "unroll_length", "batch_size")
CSV_COLUMNS = ("setting", "value", "frames_per_sec", "lag_mean", "lag_max")


def rows(config: Config, secs: float, repeats: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each point. Raises SettingError for architectures whose batch size follows from the others."""
    if config.architecture != "impala":
        raise SettingError(f"--architecture={config.architecture}: the scaling suite is for impala")
    for setting, value, point in points(config):
        runs = [training_run.measure(point, secs) for _ in range(repeats)]
        yield {
            "name": f"{setting}={value}",
            "setting": setting,
            "value": value,
            "frames_per_sec": statistics.median(run.rate.steps_per_sec for run in runs) * config.num_action_repeats,
            "lag_mean": statistics.median(run.lag_mean for run in runs),
            "lag_max": max(run.lag_max for run in runs),
        }


def points(config: Config) -> list[tuple[str, int, Config]]:
    """Returns (setting, its value, all settings) of each point; values that contradict another setting are left out."""
    found = []
    for setting in SETTINGS:
        for value in sorted({max(1, round(factor * getattr(config, setting))) for factor in FACTORS}):
            with contextlib.suppress(SettingError):
                found.append((setting, value, dataclasses.replace(config, **{setting: value})))
    return found


def write(rows_so_far: list[dict[str, Any]], path: pathlib.Path) -> list[pathlib.Path]:
    """Writes a CSV beside `path`, and a picture where matplotlib is installed. Returns the paths of both."""
    table = path.with_suffix(".csv")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(
            {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            for row in rows_so_far
        )
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return [table]
    figure, axes = pyplot.subplots(2, len(SETTINGS), figsize=(4 * len(SETTINGS), 6), sharey="row", squeeze=False)
    for column, setting in enumerate(SETTINGS):
        points = [row for row in rows_so_far if row["setting"] == setting]
        values = [row["value"] for row in points]
        axes[0, column].plot(values, [row["frames_per_sec"] for row in points], "o-")
        axes[1, column].plot(values, [row["lag_mean"] for row in points], "o-", label="mean")
        axes[1, column].plot(values, [row["lag_max"] for row in points], "o:", label="maximum")
        axes[1, column].set_xlabel(setting)
        for axis in axes[:, column]:
            axis.set_xscale("log", base=2)
            axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylim(bottom=0)  # The panels of a row share a scale, which stops growing once this is set.
    axes[0, 0].set_ylabel("frames/s")
    axes[1, 0].set_ylabel("policy lag, updates")
    axes[1, 0].legend()
    figure.tight_layout()
    figure.savefig(path.with_suffix(".png"), dpi=100)
    pyplot.close(figure)
    return [table, path.with_suffix(".png")]
