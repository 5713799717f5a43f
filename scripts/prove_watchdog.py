"""Lets one thing hang in the middle of a training, and writes whom the watchdog names, when, and how Ctrl-C ends it.

  python scripts/prove_watchdog.py                      # --stall_secs=60, as by default
  python scripts/prove_watchdog.py --stall_secs=5 "--cases=step;policy" --output=runs/watchdog.csv

Each case is a training of CartPole in a process of its own; --at_once of them run at the same time. What hangs sleeps
for ever. After the line about it the process gets SIGINT. Writes docs/results/watchdog.csv.
"""

import argparse
import concurrent.futures
import csv
import functools
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import NamedTuple

import gymnasium as gym
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENV_ID = "scripts.prove_watchdog:HangingCartPole-v0"
WHERE, MARK = "PROVE_WATCHDOG_HANGS_IN", "PROVE_WATCHDOG_MARK"  # Environment variables of a case's process.
TINY = dict(num_actors=3, num_envs_per_actor=8, batch_size=8, total_environment_frames=10**12)


class Case(NamedTuple):
    """One thing hangs. names: pattern of the line that names it. at_end: whether it is named only after the signal."""

    names: str
    settings: dict
    at_end: bool = False


CASES = {
    "step": Case(r"actor \d has been in its environment's step", {}),
    "reset": Case(r"actor \d has been in its environment's reset", {}),
    "close": Case(r"actor \d has been closing its environment", {}, at_end=True),
    "policy": Case(r"actor \d has been in its policy call", {"xla": "off"}),
    "queue": Case(r"the queue is stuck", {}),
    "learner": Case(r"the learner has been in an update", {"xla": "off"}),
    "step, one turn": Case(r"actor \d has been in its environment's step", {"concurrent_actors": 1}),
    "step, a2c_sync_trajectory": Case(
        r"actor \d has been in its environment's step", {"architecture": "a2c_sync_trajectory", "batch_size": 24}
    ),
    "step, a2c_sync_step": Case(
        r"actor 0 has been in its environment's step", {"architecture": "a2c_sync_step", "batch_size": 24}
    ),
    "step, a3c": Case(r"worker \d has been in its environment's step", {"architecture": "a3c"}),
    "step, processes": Case(r"actor \d \(process \d+\) has been making an unroll", {"actor_backend": "processes"}),
    "step, async": Case(r"actor \d has been in its environment's step", {"vectorization": "async"}),
}


def hang_once(where: str) -> None:
    """Hangs in the one place that the environment variables name; only the first that comes there does, once."""
    mark = os.environ.get(MARK, "")
    if where != os.environ.get(WHERE) or not mark or not (pathlib.Path(mark).parent / "log" / "metrics.csv").exists():
        return
    try:
        descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.write(descriptor, str(time.time()).encode())
    os.close(descriptor)
    threading.Event().wait()


class HangingCartPole(gym.Wrapper):
    """CartPole, one of which hangs."""

    def __init__(self, **kwargs):
        super().__init__(gym.make("CartPole-v1", **kwargs).unwrapped)
        self._steps = 0

    def reset(self, **kwargs):
        if self._steps:
            hang_once("reset")
        return self.env.reset(**kwargs)

    def step(self, action):
        self._steps += 1
        if self._steps % 20 == 0:
            hang_once("step")
        return self.env.step(action)

    def close(self):
        hang_once("close")
        super().close()


if ENV_ID.partition(":")[2] not in gym.registry:
    gym.register(ENV_ID.partition(":")[2], HangingCartPole, max_episode_steps=500, disable_env_checker=True)


def train(case: str, logdir: str, stall_secs: float) -> None:
    """Trains in this process, as the mains do."""
    import tensorflow as tf

    import impala_tf
    from impala_tf.experience.unroll_queue import UnrollQueue
    from impala_tf.support.others import ending_despite_threads

    where = os.environ[WHERE]

    def hang(x, rows):
        if where == "learner" or len(x) == rows:
            hang_once(where)
        return x

    def torso(space):
        import keras

        class Torso(keras.layers.Layer):
            def call(self, x):
                y = tf.numpy_function(functools.partial(hang, rows=TINY["num_envs_per_actor"]), [x], tf.float32)
                return tf.ensure_shape(y, x.shape)

        return Torso()

    def rewards(unroll):
        reward = unroll.env_outputs.reward
        return tf.ensure_shape(tf.numpy_function(functools.partial(hang, rows=0), [reward], tf.float32), reward.shape)

    if where == "queue":
        get = UnrollQueue.get
        UnrollQueue.get = lambda self, *arguments: (hang_once("queue"), get(self, *arguments))[1]
    config = impala_tf.Config(env_id=ENV_ID, logdir=logdir, stall_secs=stall_secs, **(TINY | CASES[case].settings))
    own = dict(make_torso=torso) if where == "policy" else dict(shape_rewards=rewards) if where == "learner" else {}
    with ending_despite_threads():
        impala_tf.train(config, **own)


def prove(case: str, stall_secs: float) -> dict:
    """Runs a case. Returns its row."""
    with tempfile.TemporaryDirectory() as directory:
        logdir, mark = pathlib.Path(directory) / "log", pathlib.Path(directory) / "mark"
        environment = os.environ | {WHERE: case.partition(",")[0], MARK: str(mark), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, __file__, f"--child={case}", f"--logdir={logdir}", f"--stall_secs={stall_secs}"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        lines: list[tuple[float, str]] = []
        reader = threading.Thread(target=lambda: lines.extend((time.time(), line) for line in process.stderr))
        reader.start()
        named = _wait_for(process, lines, CASES[case], logdir, mark, stall_secs)
        asked = time.time()
        process.send_signal(signal.SIGINT)
        code = process.wait(120)
        end_secs = time.time() - asked
        reader.join()
        if CASES[case].at_end:
            named = next(((at, line) for at, line in lines if re.search(CASES[case].names, line)), None)
        left = [line.strip() for _, line in lines if "left behind" in line]
        saved = _saved(logdir)
        return dict(
            case=case,
            named=bool(named),
            named_after_secs=f"{named[0] - (asked if CASES[case].at_end else float(mark.read_text())):.1f}"
            if named
            else "",
            line=re.sub(r"/\S*/", "", named[1].strip()) if named else "".join(line for _, line in lines)[-500:],
            ended_secs_after_ctrl_c=f"{end_secs:.1f}",
            exit_code=code,
            last_line=re.sub(r"/\S*/", "", left[-1]) if left else "",
            **saved,
        )


def _wait_for(process, lines, case: Case, logdir: pathlib.Path, mark: pathlib.Path, stall_secs: float):
    """Waits until the culprit is named, at most twice as long as that may take. Returns (time, line), or None."""
    deadline = time.time() + 300 + 2 * stall_secs
    while time.time() < deadline and process.poll() is None:
        for at, line in list(lines):
            if re.search(case.names, line):
                return at, line
        if case.at_end and (logdir / "metrics.csv").exists():
            time.sleep(5)
            return None
        time.sleep(0.1)
    return None


def _saved(logdir: pathlib.Path) -> dict:
    """Returns the update of the newest checkpoint, that of the last row of metrics, and whether there is an export."""
    updates = 0
    if (logdir / "metrics.csv").exists():
        with (logdir / "metrics.csv").open() as file:
            updates = int(list(csv.DictReader(file))[-1]["updates"])
    newest = max((logdir / "checkpoints").glob("*.npz"), default=None)
    saved = int(np.load(newest)["updates"]) if newest else -1
    return dict(updates=updates, saved_updates=saved, exported=(logdir / "saved_model" / "saved_model.pb").exists())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stall_secs", type=float, default=60.0)
    parser.add_argument("--cases", default=";".join(CASES), help="names with ; between them")
    parser.add_argument("--at_once", type=int, default=2)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "results" / "watchdog.csv")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--logdir", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        train(arguments.child, arguments.logdir, arguments.stall_secs)
        return
    with concurrent.futures.ThreadPoolExecutor(arguments.at_once) as pool:
        rows = []
        for row in pool.map(functools.partial(prove, stall_secs=arguments.stall_secs), arguments.cases.split(";")):
            rows.append(row)
            print(", ".join(f"{name}: {value}" for name, value in row.items()), flush=True)
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if not all(row["named"] for row in rows):
        sys.exit("not every culprit was named")


if __name__ == "__main__":
    main()
