"""Trains for some time and prints the resident size every minute; writes it to --output.

  python scripts/watch_memory.py --minutes=30 --output=docs/results/memory_cartpole.csv
  python scripts/watch_memory.py --minutes=30 --output=runs/memory_pong.csv --flagfile=flags/atari_shallow.flags

Further flags go to `python -m impala_tf.experiment`, which is ended by SIGTERM.
"""

import argparse
import csv
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--output", type=pathlib.Path, help="CSV file")
    parser.add_argument("--name", help="short for --output=docs/results/NAME.csv")
    arguments, flags = parser.parse_known_args()
    if (arguments.output is None) == (arguments.name is None):
        parser.error("give --output or --name")
    path = arguments.output or ROOT / "docs" / "results" / f"{arguments.name}.csv"
    with tempfile.TemporaryDirectory() as logdir, path.open("w", newline="") as file:
        command = [sys.executable, "-m", "impala_tf.experiment", "--total_environment_frames=1000000000000"]
        training = subprocess.Popen([*command, *flags, f"--logdir={logdir}"], cwd=ROOT)
        writer = csv.writer(file)
        writer.writerow(("minute", "resident_mib", "threads", "environment_frames"))
        process = psutil.Process(training.pid)
        for minute in range(1, arguments.minutes + 1):
            time.sleep(60)
            if training.poll() is not None:
                sys.exit(f"training ended by itself with {training.returncode}")
            with open(pathlib.Path(logdir) / "metrics.csv") as metrics:
                frames = metrics.readlines()[-1].split(",")[0]
            row = (minute, f"{process.memory_info().rss / 2**20:.1f}", process.num_threads(), frames)
            writer.writerow(row)
            file.flush()
            print("minute {}: {} MiB, {} threads, {} frames".format(*row), flush=True)
        training.send_signal(signal.SIGTERM)
        sys.exit(training.wait(60))


if __name__ == "__main__":
    main()
