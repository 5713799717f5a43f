"""Proves that a run that is resumed with --exact_resume equals one that was never stopped, to the bit.

  python scripts/prove_exact_resume.py
  python scripts/prove_exact_resume.py --environments=CartPole --cores=none --results=/tmp/exact.csv

A case "broken" trains once without a break. Then it trains again, is killed by SIGKILL after a third of the updates,
goes on, is stopped by SIGTERM after two thirds, and goes on to the end. A case "twice" trains two times without a break
and without the flag. Compared are the last checkpoints, each array bit by bit, and the JSON text but for its seconds;
episodes.csv; and for "broken" metrics.csv but for times, with a row for each checkpoint: one after each update, with
PPO after each batch. Writes docs/results/exact_resume.csv, where rows of cases that are run again are replaced.
"""

import argparse
import csv
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENTS = {
    "CartPole": dict(env_id="CartPole-v1", num_envs_per_actor=4, total_environment_frames=4800),
    "MinAtar": dict(env_id="MinAtar/Breakout-v1", num_envs_per_actor=4, total_environment_frames=4800),
    "Pong": dict(
        env_id="ALE/Pong-v5", num_action_repeats=4, num_envs_per_actor=2, total_environment_frames=10_000,
        max_episode_frames=1000, separate_value_network="false", vectorization="sync",
    ),
}  # fmt: skip
CORES = {"none": {}, "lstm": dict(core="lstm", core_size=32)}
ALGORITHMS = {"impala": {}, "ppo": dict(algorithm="ppo")}
ARCHITECTURES = ("a2c_sync_step", "a2c_sync_trajectory", "a3c")
EXACT = dict(exact_resume="true", checkpoint_every_updates=1, log_every_secs=1_000_000)
KEY = ("way", "environment", "architecture", "core", "algorithm")
TIMES = ("seconds", "frames_per_sec", "resident_mib", "queue_size")
LONGEST_SECS = 900.0  # No run takes so long, unless it hangs.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, values in (
        ("environments", ENVIRONMENTS), ("architectures", ARCHITECTURES), ("cores", CORES), ("algorithms", ALGORITHMS),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", default=",".join(values), help=f"any of {', '.join(values)}")
    parser.add_argument("--ways", default="broken,twice", help="broken: resumed against unbroken; twice: two runs")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "docs" / "results" / "exact_resume.csv")
    arguments = parser.parse_args()
    choices = (arguments.ways, arguments.environments, arguments.architectures, arguments.cores, arguments.algorithms)
    for case in itertools.product(*(text.split(",") for text in choices)):
        _, _, architecture, _, algorithm = case
        if architecture == "a3c" and algorithm == "ppo":  # The two are refused together.
            continue
        with tempfile.TemporaryDirectory() as directory:
            row = dict(zip(KEY, case, strict=True)) | prove(case, pathlib.Path(directory))
        print(row, flush=True)
        write(arguments.results, row)


def prove(case: tuple[str, ...], directory: pathlib.Path) -> dict[str, object]:
    """Runs a case in a directory. Returns the columns of its row behind the key."""
    began = time.monotonic()
    way, environment, architecture, core, algorithm = case
    settings: dict[str, object] = dict(architecture=architecture, **ENVIRONMENTS[environment])
    settings |= CORES[core] | ALGORITHMS[algorithm]
    settings["num_actors"] = 1 if architecture == "a3c" else 2
    settings["batch_size"] = settings["num_actors"] * settings["num_envs_per_actor"]  # type: ignore[operator]
    settings |= EXACT if way == "broken" else {}
    one, other = directory / "one", directory / "other"
    train(one, settings)
    broken: dict[str, object] = dict(killed_after="", stopped_after="")
    if way == "broken":
        updates = newest(one)
        broken["killed_after"] = train(other, settings, signal.SIGKILL, updates // 3)
        broken["stopped_after"] = train(other, settings, signal.SIGTERM, 2 * updates // 3)
    train(other, settings)
    return broken | compared(one, other) | dict(seconds=round(time.monotonic() - began), load=load())


def train(logdir: pathlib.Path, settings: dict, number: int = 0, after: int = 0) -> int:
    """Trains, to the end or until there is a checkpoint of `after` updates; then the signal is sent.

    Returns the number of updates in the newest checkpoint.
    """
    flags = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "impala_tf.experiment", f"--logdir={logdir}", *flags]
    with (logdir.parent / "output").open("w+") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
        deadline = time.monotonic() + LONGEST_SECS
        while number and newest(logdir) < after and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if number:
            process.send_signal(number)
        code = process.wait(LONGEST_SECS)
        output.seek(0)
        if code not in (0, -signal.SIGKILL):
            sys.exit(f"{' '.join(command)} ended with {code}:\n{output.read()}")
    return newest(logdir)


def newest(logdir: pathlib.Path) -> int:
    """Returns the number of updates in the newest checkpoint; 0 without one."""
    return max((int(path.stem.split("-")[1]) for path in logdir.glob("checkpoints/checkpoint-*.npz")), default=0)


def compared(one: pathlib.Path, other: pathlib.Path) -> dict[str, object]:
    """Compares what two runs have left. Returns columns of the row."""
    saved = [dict(np.load(path / "checkpoints" / f"checkpoint-{newest(path):010d}.npz")) for path in (one, other)]
    texts = [json.loads(str(arrays.pop("info"))) for arrays in saved]
    for text in texts:
        del text["metrics"]["seconds"]
    names = saved[0].keys() | saved[1].keys()
    different = [
        name for name in names if not all(name in arrays for arrays in saved) or differ(*(a[name] for a in saved))
    ]
    tables = [rows(path / "metrics.csv", TIMES) for path in (one, other)]
    episodes = [rows(path / "episodes.csv", ()) for path in (one, other)]
    return dict(
        updates=newest(one),
        arrays=len(names),
        array_bytes=sum(array.nbytes for array in saved[0].values()),
        different_arrays=len(different),
        same_text=texts[0] == texts[1],
        # Without a checkpoint after each update the clock says when rows are written.
        metrics_rows=len(tables[0]) if "exact" in texts[0] else "",
        same_metrics=tables[0] == tables[1] if "exact" in texts[0] else "",
        episodes=len(episodes[0]),
        same_episodes=episodes[0] == episodes[1],
    )


def differ(array: np.ndarray, other: np.ndarray) -> bool:
    return (array.dtype, array.shape, array.tobytes()) != (other.dtype, other.shape, other.tobytes())


def rows(path: pathlib.Path, without: tuple[str, ...]) -> list[dict[str, str]]:
    """Returns the rows of a table without some columns and those of seconds."""
    with path.open(newline="") as file:
        return [
            {name: value for name, value in row.items() if name not in without and not name.startswith("secs/")}
            for row in csv.DictReader(file)
        ]


def write(path: pathlib.Path, row: dict[str, object]) -> None:
    """Adds a row to the file, in the place of one of the same case."""
    found = rows(path, ()) if path.exists() else []
    kept = [old for old in found if any(old[name] != row[name] for name in KEY)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*kept, row])


def load() -> float:
    """Returns the machine's mean load of the last minute, to a tenth."""
    return round(os.getloadavg()[0], 1)


if __name__ == "__main__":
    main()
