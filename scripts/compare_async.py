"""Compares the vector of --vectorization=async with gymnasium's AsyncVectorEnv, by turns on one machine.

  python scripts/compare_async.py

Writes docs/results/async.csv: for each environment and number of processes the median microseconds of a step of all
environments, over the turns, and the load before.
"""

import argparse
import functools
import os
import pathlib
import statistics
import time

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv
from reproducing import RESULTS, write

from impala_tf import environments
from impala_tf.config import Config

CASES = (("CartPole-v1", 2), ("CartPole-v1", 8), ("ALE/Pong-v5", 4))


def secs_per_step(vector, num_steps: int) -> float:
    actions = np.zeros(vector.num_envs, np.int64)
    started = time.perf_counter()
    for _ in range(num_steps):
        vector.step(actions)
    return (time.perf_counter() - started) / num_steps


def make_env(env_id: str) -> gym.Env:
    import impala_tf.environments  # noqa: F401  It registers the ids in a process of its own.

    return environments.single_environment.make_single(Config(env_id=env_id), {})


def compare(env_id: str, num_envs: int, turns: int, num_steps: int) -> dict:
    load = os.getloadavg()[0]
    ours = environments.make_vector_environment(Config(env_id=env_id, vectorization="async"), 1, 0, num_envs)
    theirs = AsyncVectorEnv([functools.partial(make_env, env_id)] * num_envs, context="spawn")
    ours.reset()
    theirs.reset(seed=1)
    times: dict[str, list[float]] = {"ours": [], "gymnasium": []}
    for turn in range(turns + 1):
        for name, vector in (("ours", ours._env), ("gymnasium", theirs)):  # Without the rows, which both need.
            secs = secs_per_step(vector, num_steps)
            if turn:  # The first turn warms up.
                times[name].append(secs)
    ours.close()
    theirs.close()
    medians = {name: statistics.median(values) * 1e6 for name, values in times.items()}
    return dict(
        env_id=env_id,
        processes=num_envs,
        ours_us=round(medians["ours"]),
        gymnasium_us=round(medians["gymnasium"]),
        ratio=round(medians["gymnasium"] / medians["ours"], 2),
        turns=turns,
        load_before=round(load, 1),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--output", type=pathlib.Path, default=RESULTS / "async.csv")
    arguments = parser.parse_args()
    rows = []
    for env_id, num_envs in CASES:
        rows.append(compare(env_id, num_envs, arguments.turns, arguments.steps))
        print(rows[-1], flush=True)
    write(arguments.output, rows)


if __name__ == "__main__":
    main()
