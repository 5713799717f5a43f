"""Trains CartPole with actors on a Ray cluster of two nodes; meanwhile one actor is killed and one node is taken away.

  python scripts/prove_ray_actors.py

The cluster is Ray's own for tests: several nodes on this machine. The run is `python -m impala_tf.experiment` in a
process of its own, and goes to the end of its budget. Writes docs/results/ray_actors.json: when each event happened,
how long it took until all actors were there again, and how the run ended.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import psutil

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOLVED = 475.0  # Mean return of 100 episodes (gymnasium's threshold of CartPole-v1).
ACTORS = 2
WAIT_SECS = 180.0


def last_row(logdir: pathlib.Path) -> dict[str, float]:
    """Returns the last row of metrics.csv; empty before there is one."""
    path = logdir / "metrics.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    return {name: float(value) for name, value in rows[-1].items()} if rows else {}


def wait_until(logdir: pathlib.Path, training: subprocess.Popen, is_time, what: str) -> dict[str, float]:
    """Waits until a row fulfils `is_time`, and returns it."""
    deadline = time.monotonic() + WAIT_SECS
    while time.monotonic() < deadline and training.poll() is None:
        row = last_row(logdir)
        if row and is_time(row):
            return row
        time.sleep(0.1)
    sys.exit(f"{what}: not seen in {WAIT_SECS:g} s, or the run ended before")


def actor_processes() -> list[psutil.Process]:
    """Returns the processes of the Ray actors on the nodes of this script."""
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith("ray::RayHost")]


def disturb(logdir: pathlib.Path, training: subprocess.Popen, cluster, node) -> list[dict]:
    """Kills an actor, and takes a node away when all are there again. Returns what happened when."""

    def everybody(losses: int):
        return lambda row: row["actors_alive"] == ACTORS and row["actor_restarts"] == losses

    events = []
    acts = (
        ("an actor is killed", lambda: actor_processes()[0].kill()),
        ("a node is removed", lambda: cluster.remove_node(node, allow_graceful=False)),
    )
    for losses, (name, act) in enumerate(acts):
        row = wait_until(logdir, training, everybody(losses), f"all actors before {name}")
        act()
        began = time.monotonic()
        after = wait_until(logdir, training, everybody(losses + 1), f"all actors after {name}")
        events.append(
            {
                "event": name,
                "at_seconds": round(row["seconds"], 1),
                "at_frames": int(row["environment_frames"]),
                "all_actors_again_after_secs": round(time.monotonic() - began, 1),
                "frames_meanwhile": int(after["environment_frames"] - row["environment_frames"]),
                "return_of_100_before": row["episode_return_last_100"],
                "return_of_100_after": after["episode_return_last_100"],
            }
        )
        print(events[-1], flush=True)
    return events


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5_000_000)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "results" / "ray_actors.json")
    arguments = parser.parse_args()
    from ray.cluster_utils import Cluster

    load = round(os.getloadavg()[0], 1)
    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False))
    with tempfile.TemporaryDirectory() as directory:
        logdir = pathlib.Path(directory)
        nodes = [cluster.add_node(num_cpus=ACTORS) for _ in range(2)]
        flags = ["--actor_backend=ray", f"--num_actors={ACTORS}", f"--total_environment_frames={arguments.frames}"]
        command = [sys.executable, "-m", "impala_tf.experiment", *flags, f"--ray_address={cluster.address}"]
        training = subprocess.Popen([*command, f"--logdir={logdir}", "--log_every_secs=0.5"], cwd=ROOT)
        try:
            events = disturb(logdir, training, cluster, nodes[1])
            code = training.wait(600)
        finally:
            training.kill()
            cluster.shutdown()
        rows = list(csv.DictReader((logdir / "metrics.csv").open()))
        checkpoint = np.load(max((logdir / "checkpoints").glob("*.npz")))
        last = last_row(logdir)
        result = {
            "command": "python -m impala_tf.experiment " + " ".join(flags) + " --ray_address=(2 nodes)",
            "load_before": load,
            "events": events,
            "exit_code": code,
            "solved": last["episode_return_last_100"] >= SOLVED,
            "episode_return_last_100": last["episode_return_last_100"],
            "environment_frames": int(last["environment_frames"]),
            "seconds": round(last["seconds"], 1),
            "policy_lag_mean": float(np.mean([float(row["policy_lag_mean"]) for row in rows[1:]])),
            "frames_never_fell": bool(np.all(np.diff([int(row["environment_frames"]) for row in rows]) > 0)),
            "updates_in_metrics_and_checkpoint": [int(last["updates"]), int(checkpoint["updates"])],
        }
    arguments.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    sys.exit(not (code == 0 and result["solved"] and result["frames_never_fell"]))


if __name__ == "__main__":
    main()
