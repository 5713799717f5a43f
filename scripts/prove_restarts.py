"""Trains CartPole in processes of which some raise, die and hang, and beside it the same without faults.

  python scripts/prove_restarts.py

Of the episodes 1 % are chosen to crash (half raise, half end their process) and 0.1 % to hang, in other runs 10 % and
1 % (scripts/faulty_environments.py), and one process is killed from outside. A run stops when the mean return of 100
episodes is 475, or at the end of its budget. Writes docs/results/restarts.csv: a row for each run, with the frames
until then and what was counted.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import psutil
from faulty_environments import KINDS
from reproducing import RESULTS, ROOT, read, write

SOLVED = 475.0  # Mean return of 100 episodes (gymnasium's threshold of CartPole-v1).
FLAGS = (
    "--vectorization=async", "--num_actors=2", "--num_envs_per_actor=8", "--batch_size=8",
    "--total_environment_frames=1500000", "--log_every_secs=0.5", "--max_env_restarts=100000", "--env_timeout_secs=2",
)  # fmt: skip
KILL_AT_FRAMES = 20_000


def environment_processes(training: subprocess.Popen) -> list[psutil.Process]:
    """Returns the processes of the environments."""
    children = psutil.Process(training.pid).children()
    return [child for child in children if any("spawn_main" in part for part in child.cmdline())]


def watch(training: subprocess.Popen, logdir: pathlib.Path, kills: bool) -> tuple[int, str]:
    """Kills one process of an environment, if it is to, and stops the run when it is solved.

    Returns the frames until then, or "" for a run that used its budget, and the number of killed processes.
    """
    killed = 0
    while training.poll() is None:
        time.sleep(0.2)
        rows = read(logdir / "metrics.csv")
        if rows and kills and not killed and int(rows[-1]["environment_frames"]) > KILL_AT_FRAMES:
            environment_processes(training)[0].kill()
            killed = 1
        solved = [row for row in rows if float(row["episode_return_last_100"]) >= SOLVED]
        if solved:
            training.send_signal(signal.SIGINT)
            training.wait()
            return killed, solved[0]["environment_frames"]
    return killed, ""


def run(kind: str, seed: int) -> dict:
    """Trains one seed. kind: one of KINDS."""
    with tempfile.TemporaryDirectory() as directory:
        logdir = pathlib.Path(directory)
        flags = [*FLAGS, f"--env_id=scripts.faulty_environments:{kind}/CartPole-v1", f"--seed={seed}"]
        command = [sys.executable, "-m", "impala_tf.experiment", *flags, f"--logdir={logdir}"]
        load = os.getloadavg()[0]
        training = subprocess.Popen(command, cwd=ROOT)
        try:
            killed, frames = watch(training, logdir, kills=kind != "sound")
        finally:
            training.kill()
        last = read(logdir / "metrics.csv")[-1]
        return dict(
            kind=kind,
            seed=seed,
            frames_to_475=frames,
            seconds=last["seconds"],
            episodes=last["episodes"],
            env_restarts=last["env_restarts"],
            aborted_episodes=last["aborted_episodes"],
            killed_processes=killed,
            exit_code=training.returncode,
            load_before=round(load, 1),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=pathlib.Path, default=RESULTS / "restarts.csv")
    arguments = parser.parse_args()
    rows = []
    for seed in range(1, arguments.seeds + 1):
        for kind in KINDS:  # By turns, so that both have the same machine.
            rows.append(run(kind, seed))
            print(rows[-1], flush=True)
            write(arguments.output, rows)
    sys.exit(any(row["exit_code"] or not row["frames_to_475"] for row in rows))


if __name__ == "__main__":
    main()
