"""Compares the model of a cluster (impala_tf/benchmarks/cluster_model.py) with real runs of 1 to 8 actors in threads.

python scripts/validate_cluster_model.py [--rounds=3] [--secs=3]

Costs are fitted to what the timers of CALIBRATION's runs say, which are no runs of SETTINGS; those are then predicted.
All runs are made by turns, as other work on the machine changes their speed; the figures are medians over the rounds.
Writes docs/results/cluster_validation.csv.
"""

import argparse
import csv
import pathlib
import statistics
from typing import NamedTuple

import numpy as np

from impala_tf.support.startup import import_tensorflow

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Setting(NamedTuple):
    num_actors: int
    num_envs: int
    unroll_length: int
    batch_size: int


CALIBRATION = [Setting(2, 16, 20, 32), Setting(2, 256, 20, 32), Setting(2, 64, 5, 32), Setting(2, 64, 20, 256)]
SETTINGS = [
    Setting(1, 64, 20, 32),
    Setting(2, 64, 20, 32),
    Setting(4, 64, 20, 32),
    Setting(8, 64, 20, 32),
    Setting(4, 32, 20, 32),
    Setting(4, 128, 20, 32),
    Setting(4, 64, 40, 32),
    Setting(4, 64, 20, 8),
]


class Measured(NamedTuple):
    """Medians of runs. act_secs: of a turn of an actor, without waiting for room. update_secs: of an update."""

    frames_per_sec: float
    lag: float
    act_secs: float
    update_secs: float


def run(setting: Setting, secs: float) -> Measured:
    from impala_tf.benchmarks import training_run
    from impala_tf.config import Config

    num_actors, num_envs, unroll_length, batch_size = setting
    config = Config(
        num_actors=num_actors, num_envs_per_actor=num_envs, unroll_length=unroll_length, batch_size=batch_size
    )
    found = training_run.measure(config, secs)
    print(f"  {setting}: {found.rate.steps_per_sec:,.0f} frames/s, {found.secs}", flush=True)
    return Measured(found.rate.steps_per_sec, found.lag_mean, found.secs["act"], found.secs["update"])


def medians(runs: list[Measured]) -> Measured:
    return Measured(*(statistics.median(values) for values in zip(*runs, strict=True)))


def fit(inputs: list[list[float]], seconds: list[float]) -> np.ndarray:
    """Non-negative costs of each input, whose sum is closest to the seconds, in relative terms."""
    from scipy.optimize import nnls

    scale = 1 / np.array(seconds)[:, np.newaxis]
    return nnls(np.array(inputs) * scale, np.ones(len(seconds)))[0]


def act_inputs(setting: Setting) -> list[float]:
    """An unroll has a fixed cost, one for each row, and one for each environment's step."""
    return [1.0, setting.unroll_length, setting.unroll_length * setting.num_envs]


def update_inputs(setting: Setting) -> list[float]:
    return [1.0, setting.unroll_length * setting.batch_size]


def predictions(calibration: dict[Setting, Measured]):
    """A function from a setting to the model's prediction."""
    from impala_tf import environments
    from impala_tf.benchmarks.cluster_model import Costs, Sizes, predict

    act = fit([act_inputs(s) for s in calibration], [m.act_secs for m in calibration.values()])
    update = fit([update_inputs(s) for s in calibration], [m.update_secs for m in calibration.values()])
    print(f"act: {1e6 * act} us for an unroll, a row, a step; update: {1e6 * update} us for an update, a step")

    def prediction(setting: Setting):
        costs = Costs(
            act_secs=float(np.dot(act, act_inputs(setting))), update_secs=float(np.dot(update, update_inputs(setting)))
        )
        sizes = Sizes(
            num_actors=setting.num_actors,
            num_envs=setting.num_envs,
            batch_size=setting.batch_size,
            frames_per_unroll=setting.unroll_length,
            turns=min(setting.num_actors, max(1, environments.available_cores() - 1)),
        )
        return predict(costs, sizes, num_updates=2000)

    return prediction


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=float, default=3.0, help="Of a run, after its start.")
    parser.add_argument("--output", default=str(ROOT / "docs" / "results" / "cluster_validation.csv"))
    arguments = parser.parse_args()
    import_tensorflow()
    runs: dict[Setting, list[Measured]] = {setting: [] for setting in (*CALIBRATION, *SETTINGS)}
    for _ in range(arguments.rounds):
        for setting, measured in runs.items():
            measured.append(run(setting, arguments.secs))
    predict = predictions({setting: medians(runs[setting]) for setting in CALIBRATION})
    rows = []
    for setting in SETTINGS:
        measured, predicted = medians(runs[setting]), predict(setting)
        row = dict(
            setting._asdict(),
            frames_per_sec=round(measured.frames_per_sec),
            model_frames_per_sec=round(predicted.frames_per_sec),
            speed_error=round(predicted.frames_per_sec / measured.frames_per_sec - 1, 3),
            lag=round(measured.lag, 2),
            model_lag=round(predicted.lag_mean, 2),
            lag_error=round(predicted.lag_mean / measured.lag - 1, 3),
        )
        rows.append(row)
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    with pathlib.Path(arguments.output).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
