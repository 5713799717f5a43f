"""Hurts runs and files on purpose, and counts what does not come back; writes docs/results/torture.json.

  python scripts/torture.py                                   1,000 kills, 10,000 flips, 1,000 corruptions: over an hour
  python scripts/torture.py --kills=20 --flips=200 --corruptions=50 --results=/tmp/torture.json

kills        SIGKILL at a random moment of a run of CartPole: at any time from its start on, while a checkpoint is
             written, or while the run ends and exports. The same log directory is trained on each time. A new one is
             begun after every 25 kills, when the run before has been ended by SIGTERM and checked.
flips        one bit of a checkpoint is changed, and the checkpoint is read.
corruptions  a checkpoint is cut, overwritten, mixed with another or extended, and read.

Processes are forks of one that has imported TensorFlow, which saves most of their start-up. What the results have
already stays, with the same --seed: kills are added until there are so many. The exit code is 1 when anything failed.
"""

import argparse
import bisect
import collections
import contextlib
import csv
import itertools
import json
import multiprocessing
import os
import pathlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
AIMS = {"any time": 0.4, "checkpoint": 0.4, "end": 0.2}  # What a kill aims at, with its probability.
KILLS_PER_RUN = 25
LONGEST_START_SECS = 8.0  # A kill at any time comes at most so long after the start.
CHECKPOINT_SECS, EXPORT_SECS = 0.02, 0.15  # So long after the first sign of what it aims at, at most.
PATIENCE_SECS = 120.0  # This only bounds a hang.
SETTINGS = dict(
    num_actors=2,
    num_envs_per_actor=4,
    batch_size=4,
    unroll_length=5,
    hidden_sizes=(16,),
    xla="off",
    total_environment_frames=10**9,
    log_every_secs=0.2,
    checkpoint_every_updates=50,
    keep_checkpoints=3,
)


class Violation(Exception):
    """A promise was broken. The message says which."""


class Held(NamedTuple):
    """What a log directory holds up to its newest checkpoint.

    updates, frames: counts of the checkpoint; 0 without one. rows: lines of each table up to there.
    """

    updates: int
    frames: int
    rows: dict[str, list[str]]


NOTHING = Held(0, 0, {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--corruptions", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no kill is begun after so long")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "docs" / "results" / "torture.json")
    options = parser.parse_args()
    found: dict[str, Any] = dict(seed=options.seed, kills=[], checkpoints={})
    if options.results.exists():
        before = json.loads(options.results.read_text())
        found = before if before["seed"] == options.seed else found
    end = time.monotonic() + 60 * options.minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Otherwise the run that is hurt would live on.

    def save() -> None:
        options.results.write_text(json.dumps(found, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as directory:
        while len(found["kills"]) < options.kills and time.monotonic() < end:
            count = min(KILLS_PER_RUN, options.kills - len(found["kills"]))
            logdir = pathlib.Path(directory) / f"run-{len(found['kills'])}"
            for kill in torture_run(logdir, count, random.Random(f"{options.seed} {len(found['kills'])}")):
                found["kills"].append(kill)
                save()
                print(f"kill {len(found['kills'])} of {options.kills}: {kill}", flush=True)
        if options.flips or options.corruptions:
            found["checkpoints"] = torture_checkpoint(directory, options.flips, options.corruptions, options.seed)
            save()
    sys.exit(show(found))


def torture_run(logdir: pathlib.Path, kills: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    """Kills a run and lets it go on, again and again, then ends it. Yields what each kill aimed at and found."""
    held = NOTHING
    for _ in range(kills):
        aim = rng.choices(list(AIMS), list(AIMS.values()))[0]
        kill: dict[str, Any] = dict(aim=aim)
        try:
            with running(logdir) as process:
                began = time.monotonic()
                kill["during"] = wait_for(aim, logdir, process, rng)
                kill["secs"] = round(time.monotonic() - began, 2)
            held = examine(logdir, held)
            kill["updates"] = held.updates
        except Violation as violation:
            kill["violation"] = str(violation)
        yield kill
    end: dict[str, Any] = dict(aim="none: SIGTERM")
    try:
        with running(logdir) as process:
            until(lambda: newest_updates(logdir) > held.updates, process)
            os.kill(process.pid, signal.SIGTERM)
            process.join(PATIENCE_SECS)
            if process.exitcode != 0:
                raise Violation(f"exit code {process.exitcode} after SIGTERM: {last_line(logdir)}")
        end["updates"] = examine(logdir, held).updates
        examine_whole(logdir)
    except Violation as violation:
        end["violation"] = str(violation)
        yield end


@contextlib.contextmanager
def running(logdir: pathlib.Path) -> Iterator[Any]:
    """Trains in a process of its own, which is killed at the end of the block if it still runs."""
    # Whoever is killed leaves semaphores behind, of which the process that removes them would complain.
    os.environ["PYTHONWARNINGS"] = "ignore::UserWarning:multiprocessing.resource_tracker"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["impala_tf.running.hosts.preloaded"])
    process = context.Process(target=train, args=(str(logdir),))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def train(logdir: str) -> None:
    """Is the process that is hurt."""
    output = os.open(f"{logdir}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    import impala_tf

    impala_tf.train(impala_tf.Config(logdir=logdir, **SETTINGS))  # type: ignore[arg-type]


def wait_for(aim: str, logdir: pathlib.Path, process: Any, rng: random.Random) -> str:
    """Waits for the moment of a kill. Returns what was there then."""
    started = time.time()
    if aim == "any time":
        until(lambda: False, process, rng.uniform(0, LONGEST_START_SECS))
    elif aim == "checkpoint":
        until(lambda: new_files(logdir, "checkpoints/*.tmp", started), process)
        time.sleep(rng.uniform(0, CHECKPOINT_SECS))
    else:
        before = newest_updates(logdir)
        until(lambda: newest_updates(logdir) > before, process)
        os.kill(process.pid, signal.SIGTERM)
        until(lambda: new_files(logdir, "saved_model*", started), process)
        time.sleep(rng.uniform(0, EXPORT_SECS))
    if process.exitcode is not None:
        return "it had ended"
    return ", ".join(new_files(logdir, "**/*.tmp", started))


def until(holds: Callable[[], Any], process: Any, seconds: float = PATIENCE_SECS) -> None:
    """Waits until something holds, or the time is over, which only "any time" may be. The process must not end."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            if seconds == PATIENCE_SECS:
                raise Violation(f"nothing happens for {PATIENCE_SECS:g} s")
            return
        if process.exitcode is not None:
            raise Violation(f"the run ends by itself with exit code {process.exitcode}")
        time.sleep(0.0005)


def new_files(logdir: pathlib.Path, pattern: str, started: float) -> list[str]:
    """Returns the names of files and directories that were made since a time."""
    found = []
    for path in logdir.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # It was renamed meanwhile.
            if path.stat().st_mtime >= started:
                found.append(path.name)
    return sorted(found)


def newest_updates(logdir: pathlib.Path) -> int:
    return max((int(path.stem[-10:]) for path in (logdir / "checkpoints").glob("checkpoint-*.npz")), default=0)


def last_line(logdir: pathlib.Path) -> str:
    output = pathlib.Path(f"{logdir}.txt")
    return ([*output.read_text(errors="replace").split("\n")] if output.exists() else [""])[-1]


def examine(logdir: pathlib.Path, before: Held) -> Held:
    """Checks what a killed run has left against what was there before it. Returns what is there now."""
    from impala_tf.records.files import DamagedFileError, read_npz

    paths = sorted((logdir / "checkpoints").glob("checkpoint-*.npz"))
    if not paths:
        if before.updates:
            raise Violation("the checkpoints are gone")
        return NOTHING
    try:
        arrays, info = read_npz(paths[-1])
    except DamagedFileError as error:
        raise Violation(f"the newest checkpoint cannot be read: {error}") from None
    held = Held(int(arrays["updates"]), int(arrays["environment_frames"]), {})
    if held.updates < before.updates:
        raise Violation(f"the newest checkpoint has {held.updates} updates after {before.updates}")
    for name in ("metrics.csv", "episodes.csv"):
        held.rows[name] = rows_until(logdir / name, held.frames)
        old = before.rows.get(name, [])
        if held.rows[name][: len(old)] != old:
            raise Violation(f"{name}: rows before the last checkpoint have changed")
    episodes = info["metrics"]["episodes"]
    if len(held.rows["episodes.csv"]) != episodes:
        raise Violation(f"episodes.csv has {len(held.rows['episodes.csv'])} of {episodes} episodes of the checkpoint")
    model = logdir / "saved_model"
    if model.exists() and not ((model / "saved_model.pb").exists() and (model / "impala_tf.json").exists()):
        raise Violation("the export is not whole")
    return held


def rows_until(path: pathlib.Path, frames: int) -> list[str]:
    """Returns the whole lines of a table up to a number of environment frames, without its header."""
    if not path.exists():
        return []
    header, *lines = path.read_text().splitlines(keepends=True) or [""]
    column = header.strip().split(",").index("environment_frames")
    return [line for line in lines if line.endswith("\n") and int(line.split(",")[column]) <= frames]


def examine_whole(logdir: pathlib.Path) -> None:
    """Checks the records of a run that has ended well: no update and no episode twice, and none missing."""
    with (logdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    with (logdir / "episodes.csv").open() as file:
        episodes = sorted(int(row["environment_frames"]) for row in csv.DictReader(file))
    for name in ("environment_frames", "updates", "seconds"):
        values = [float(row[name]) for row in rows]
        if any(later <= earlier for earlier, later in itertools.pairwise(values)):
            raise Violation(f"metrics.csv: {name} does not always rise")
    for row in rows:
        frames, said = int(row["environment_frames"]), int(row["episodes"])
        count = bisect.bisect_right(episodes, frames)
        if count != said:
            raise Violation(f"episodes.csv has {count} episodes until frame {frames}, metrics.csv {said}")
    left = [path.name for path in logdir.glob("**/*.tmp")]
    if left:
        raise Violation(f"left behind: {', '.join(left)}")


def torture_checkpoint(directory: str, flips: int, corruptions: int, seed: int) -> dict[str, Any]:
    """Damages a checkpoint in many ways. Returns how often each was refused, and what else came out."""
    from impala_tf.records.files import DamagedFileError, read_npz

    logdir = pathlib.Path(directory) / "whole"
    with running(logdir) as process:
        until(lambda: len(list((logdir / "checkpoints").glob("*.npz"))) > 1, process)
    paths = sorted((logdir / "checkpoints").glob("*.npz"))
    data, other = paths[-1].read_bytes(), paths[0].read_bytes()
    hurt = pathlib.Path(directory) / "hurt.npz"
    rng = random.Random(seed)
    counts: dict[str, dict[str, int]] = collections.defaultdict(lambda: collections.defaultdict(int))
    kinds = ["flip"] * flips + [rng.choice(list(CORRUPTIONS)) for _ in range(corruptions)]
    for kind in kinds:
        damaged = (CORRUPTIONS | {"flip": flip})[kind](data, other, rng)
        if damaged == data:
            counts[kind]["unchanged by chance"] += 1
            continue
        hurt.write_bytes(damaged)
        try:
            read_npz(hurt)
            counts[kind]["LOADED"] += 1
        except DamagedFileError:
            counts[kind]["refused"] += 1
        except Exception as error:
            counts[kind][f"TRACEBACK {type(error).__name__}"] += 1
    return dict(bytes=len(data), counts=counts)


def flip(data: bytes, other: bytes, rng: random.Random) -> bytes:
    position = rng.randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1 << rng.randrange(8)]) + data[position + 1 :]


def _cut(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _overwritten(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(data)), rng.randint(1, 4096)
    fill = rng.choice([bytes(length), rng.randbytes(length)])
    return (data[:start] + fill + data[start + length :])[: len(data)]


def _mixed(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Has the head of one checkpoint and the tail of another, as after two writers."""
    position = rng.randrange(min(len(data), len(other)))
    return data[:position] + other[position:] if rng.random() < 0.5 else other[:position] + data[position:]


def _extended(data: bytes, other: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.randint(1, 4096))


def _moved(data: bytes, other: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(data)), rng.randint(1, 512)
    block, rest = data[start : start + length], data[:start] + data[start + length :]
    position = rng.randrange(len(rest))
    return rest[:position] + block + rest[position:]


CORRUPTIONS = dict(cut=_cut, overwritten=_overwritten, mixed=_mixed, extended=_extended, moved=_moved)


def show(found: dict[str, Any]) -> int:
    """Prints what was found. Returns the exit code."""
    bad = [kill for kill in found["kills"] if "violation" in kill]
    aims = collections.Counter(kill["aim"] for kill in found["kills"])
    with_files = sum(kill.get("during", "").endswith(".tmp") for kill in found["kills"])
    print(f"kills: {len(found['kills'])} ({', '.join(f'{n} {aim}' for aim, n in sorted(aims.items()))})")
    print(f"of these, in the middle of writing a file: {with_files}; violations: {len(bad)}")
    for kill in bad:
        print(f"  {kill}")
    wrong = 0
    for kind, counts in found["checkpoints"].get("counts", {}).items():
        print(f"{kind}: {', '.join(f'{number} {name}' for name, number in counts.items())}")
        wrong += sum(number for name, number in counts.items() if name.isupper() or name.startswith("TRACEBACK"))
    return int(bool(bad or wrong))


if __name__ == "__main__":
    main()
