"""Starts trainings and stops them at random moments, as people, shells and batch systems do; writes how they ended.

  python scripts/prove_endings.py --starts=200

A start has a terminal (Ctrl-C is typed, or the terminal is closed), pipes, nohup, or a session of its own (setsid).
Each ends with how long that took, its exit code, whether it printed a traceback, and whether what it had learned is in
a checkpoint. Writes docs/results/endings.csv, a row a start. Moments are random and seeded.
"""

import argparse
import concurrent.futures
import csv
import fcntl
import functools
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENDS_IN_SECS = 10.0
PATIENCE_SECS = 60.0  # A start that has not ended by then is killed.
COMMAND = [
    sys.executable, "-m", "impala_tf.experiment", "--num_actors=2", "--num_envs_per_actor=16", "--batch_size=16",
    "--total_environment_frames=1000000000000",
]  # fmt: skip
WAYS = (
    "Ctrl-C in a terminal",
    "closed terminal",
    "SIGINT, pipes",
    "SIGTERM, pipes",
    "SIGTERM, nohup",
    "SIGINT, setsid",
)


def start(way: str, logdir: pathlib.Path):
    """Starts a training. Returns (process, function that ends it, list of what it prints)."""
    command = [*COMMAND, f"--logdir={logdir}"]
    output: list[bytes] = []
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if "terminal" in way:
        ours, theirs = pty.openpty()

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_terminal
        )
        os.close(theirs)
        closing = threading.Event()
        threading.Thread(target=_read, args=(ours, output, closing), daemon=True).start()
        end = functools.partial(os.write, ours, b"\x03") if "Ctrl-C" in way else closing.set
        return process, end, output
    if "nohup" in way:
        command = ["nohup", *command]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    threading.Thread(target=_read, args=(process.stdout.fileno(), output, threading.Event()), daemon=True).start()

    def send() -> None:
        if "nohup" in way:  # The terminal is closed first, which nohup asked not to be told.
            process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
        process.send_signal(signal.SIGINT if "SIGINT" in way else signal.SIGTERM)

    return process, send, output


def _read(descriptor: int, output: list[bytes], closing: threading.Event) -> None:
    """Reads what a process prints, until it has ended, or its terminal is to be closed."""
    os.set_blocking(descriptor, False)
    while not closing.is_set():
        try:
            part = os.read(descriptor, 65536)
            if not part:
                return
            output.append(part)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:
            return
    os.close(descriptor)


def try_one(index: int, seed: int, longest_secs: float) -> dict:
    """Starts and stops one training. Returns its row."""
    random = np.random.default_rng([seed, index])
    way, moment = WAYS[index % len(WAYS)], float(random.uniform(0, longest_secs))
    with tempfile.TemporaryDirectory() as directory:
        logdir = pathlib.Path(directory) / "log"
        process, end, output = start(way, logdir)
        time.sleep(moment)
        phase = "training" if _updates(logdir) else "building" if (logdir / "settings.flags").exists() else "starting"
        asked = time.monotonic()
        end()
        try:
            code: int | str = process.wait(PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = f"killed, {process.wait()}"
        secs = time.monotonic() - asked
        time.sleep(0.1)
        text = b"".join(output).decode(errors="replace")
        updates, newest = _updates(logdir), max((logdir / "checkpoints").glob("*.npz"), default=None)
        saved = int(np.load(newest)["updates"]) if newest else 0
        return dict(
            way=way, moment_secs=f"{moment:.2f}", phase=phase, ended_after_secs=f"{secs:.2f}", exit_code=code,
            traceback="Traceback" in text, updates=updates, saved_updates=saved,
            exported=(logdir / "saved_model" / "saved_model.pb").exists(),
        )  # fmt: skip


def _updates(logdir: pathlib.Path) -> int:
    """Returns the number of updates in the last row of metrics; 0 before there is one."""
    path = logdir / "metrics.csv"
    if not path.exists():
        return 0
    with path.open() as file:
        rows = [row for row in csv.DictReader(file) if row["updates"]]
    return int(rows[-1]["updates"]) if rows else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--at_once", type=int, default=2)
    parser.add_argument("--longest_secs", type=float, default=15.0, help="the latest moment of the stop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "results" / "endings.csv")
    arguments = parser.parse_args()
    work = functools.partial(try_one, seed=arguments.seed, longest_secs=arguments.longest_secs)
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool, arguments.output.open("w") as file:
        rows = []
        for row in pool.map(work, range(arguments.starts)):
            if not rows:
                writer = csv.DictWriter(file, row, lineterminator="\n")
                writer.writeheader()
            rows.append(row)
            writer.writerow(row)
            file.flush()
    late = [row for row in rows if float(row["ended_after_secs"]) > ENDS_IN_SECS]
    unsaved = [row for row in rows if row["saved_updates"] < row["updates"]]
    print(
        f"{len(rows)} starts: {len(late)} took longer than {ENDS_IN_SECS:g} s to end, {len(unsaved)} lost updates, "
        f"{sum(row['traceback'] for row in rows)} printed a traceback"
    )


if __name__ == "__main__":
    main()
