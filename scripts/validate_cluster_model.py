"""Compares the model of a cluster (impala_tf/benchmarks/cluster_model.py) with real runs of 1 to 8 actors.

python scripts/validate_cluster_model.py [--secs=15] [--only=slow]

The model gets the costs that the timers of the same run measured: seconds of an unroll and of an update. It predicts
the speed and the policy lag, that is who waits for whom, and how long.
Its speeds are 4 % too high for CartPole with random actions: one row in 20 is a reset, which a run does not count.

slow      9 runs whose environments and updates sleep, so that other work on the machine changes little: actors are as
          parallel as on machines of their own. Four have actors in threads, five in processes (--actor_backend). In the
          last of these actors and learner are equally fast, where the model can only say between which lags it is.
cartpole  8 runs of CartPole-v1 with actors in threads that take turns. The timers do not see everything, and other work
          on the machine counts, so their lag says more than their speed.

Writes docs/results/cluster_validation.csv, which keeps the rows of kinds that are not run.
"""

import argparse
import math
import pathlib
import time
from typing import NamedTuple
from unittest import mock

import gymnasium as gym
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from reproducing import ROOT, read, write

from impala_tf.support.startup import import_tensorflow

SLEEPING_ID = "Sleeping-v0"
STEP_SECS = 0.025


class Sleeping(CartPoleEnv):
    def step(self, action):
        time.sleep(STEP_SECS)
        return super().step(action)


if SLEEPING_ID not in gym.registry:
    gym.register(SLEEPING_ID, f"{pathlib.Path(__file__).stem}:Sleeping", max_episode_steps=500)


class Setting(NamedTuple):
    """update_secs: seconds that an update sleeps; 0 for CartPole as it is."""

    backend: str
    num_actors: int
    num_envs: int
    unroll_length: int
    batch_size: int
    update_secs: float


SETTINGS = {
    "slow": [
        Setting("threads", 1, 2, 5, 2, 0.1),
        Setting("threads", 4, 2, 5, 4, 0.25),
        Setting("threads", 8, 2, 5, 4, 0.04),
        Setting("threads", 8, 2, 5, 8, 0.25),
        Setting("processes", 1, 2, 5, 2, 0.1),
        Setting("processes", 2, 2, 5, 4, 0.4),
        Setting("processes", 4, 2, 5, 4, 0.25),
        Setting("processes", 8, 2, 5, 8, 0.04),
        # Actors and learner are equally fast: any trifle decides whether the queue is empty or full.
        Setting("processes", 2, 2, 5, 4, 0.25),
    ],
    "cartpole": [
        Setting("threads", *sizes, 0.0)
        for sizes in (
            (1, 64, 20, 32),
            (2, 64, 20, 32),
            (4, 64, 20, 32),
            (8, 64, 20, 32),
            (4, 32, 20, 32),
            (4, 128, 20, 32),
            (4, 64, 40, 32),
            (4, 64, 20, 8),
        )
    ],
}


def run(setting: Setting, secs: float):
    """Trains for real; returns the `RunMeasurement`, and the number of turns to act, which is 0 for processes."""
    from impala_tf import environments
    from impala_tf.benchmarks import training_run
    from impala_tf.config import Config
    from impala_tf.learning.learner import Learner

    is_slow = setting.update_secs > 0
    config = Config(
        env_id=f"{pathlib.Path(__file__).stem}:{SLEEPING_ID}" if is_slow else "CartPole-v1",
        actor_backend=setting.backend,
        num_actors=setting.num_actors,
        num_envs_per_actor=setting.num_envs,
        unroll_length=setting.unroll_length,
        batch_size=setting.batch_size,
        concurrent_actors=setting.num_actors if is_slow and setting.backend == "threads" else 0,
    )
    real_update = Learner.update

    def update(*arguments):
        time.sleep(setting.update_secs)
        return real_update(*arguments)

    with mock.patch.object(Learner, "update", update):
        found = training_run.measure(config, secs)
    cores = max(1, environments.available_cores() - 1)
    return found, (config.concurrent_actors or cores) if setting.backend == "threads" else 0


def compare(setting: Setting, secs: float) -> dict:
    from impala_tf.benchmarks.cluster_model import Costs, Sizes, predict

    found, turns = run(setting, secs)
    costs = Costs(act_secs=found.secs["act"], update_secs=found.secs["update"])
    sizes = Sizes(
        num_actors=setting.num_actors,
        num_envs=setting.num_envs,
        batch_size=setting.batch_size,
        frames_per_unroll=setting.unroll_length,
        turns=min(turns, setting.num_actors),
    )
    predicted = predict(costs, sizes, num_updates=2000)
    return dict(
        setting._asdict(),
        act_ms=round(1000 * costs.act_secs, 1),
        update_ms=round(1000 * costs.update_secs, 1),
        frames_per_sec=round(found.rate.steps_per_sec, 1),
        model_frames_per_sec=round(predicted.frames_per_sec, 1),
        speed_error=round(predicted.frames_per_sec / found.rate.steps_per_sec - 1, 3),
        lag=round(found.lag_mean, 2),
        model_lag=round(predicted.lag_mean, 2),
        lag_error=round(predicted.lag_mean / found.lag_mean - 1, 3) if found.lag_mean else math.nan,
        limit=predicted.limit,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secs", type=float, default=15.0, help="Of a run, after its start.")
    parser.add_argument("--only", default="slow,cartpole", help="Kinds of runs, with commas.")
    parser.add_argument("--output", default=str(ROOT / "docs" / "results" / "cluster_validation.csv"))
    arguments = parser.parse_args()
    import_tensorflow()
    output, kinds = pathlib.Path(arguments.output), arguments.only.split(",")
    rows = [row for row in read(output) if row["kind"] not in kinds]
    for kind in kinds:
        for setting in SETTINGS[kind]:
            rows.append(dict(kind=kind) | compare(setting, arguments.secs))
            print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
            write(output, rows)


if __name__ == "__main__":
    main()
