"""Trains the rows of the paper's table 1 that fit one machine, and sets their speed beside the paper's."""

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

from impala_tf.benchmarks import training_run
from impala_tf.config import Config
from impala_tf.environments.small.episode_lengths import EVEN_ID, UNEVEN_ID

# Each row has a name, the architecture, whether it has dynamic batching, and the paper's thousand frames/s on its tasks
# 1 and 2 (table 1, single machine; seekavoid_arena_01, rooms_keys_doors_puzzle; only dynamic batching had a P100).
TABLE = (
    ("A3C", "a3c", False, (6.5, 9.0)),
    ("Batched A2C (sync step)", "a2c_sync_step", False, (9.0, 5.0)),
    ("Batched A2C (sync trajectories)", "a2c_sync_trajectory", False, (16.0, 17.5)),
    ("Batched A2C (dynamic batch)", "a2c_sync_trajectory", True, (16.0, 13.0)),
    ("IMPALA", "impala", False, (17.0, 20.5)),
    ("IMPALA (dynamic batch)", "impala", True, (21.0, 24.0)),
)
TASKS = (EVEN_ID, UNEVEN_ID)


def settings(config: Config, env_id: str, architecture: str, dynamic_batching: bool) -> Config:
    """Returns the settings of a row.

    Every row has the same network and environments; only the batch differs where the architecture demands it. All
    actors may act at the same time, as the environments sleep in their resets.
    """
    num_actors = 1 if architecture == "a3c" else config.num_actors
    batch_size = config.batch_size if architecture == "impala" else num_actors * config.num_envs_per_actor
    return dataclasses.replace(
        config,
        env_id=env_id,
        architecture=architecture,
        dynamic_batching=dynamic_batching,
        batch_size=batch_size,
        concurrent_actors=config.concurrent_actors or config.num_actors,
        policy_lag=0,
    )


def rows(config: Config, secs: float, repeats: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each architecture on each of the two tasks."""
    cases = [
        (name, figure, settings(config, env_id, architecture, dynamic_batching))
        for name, architecture, dynamic_batching, paper in TABLE
        for env_id, figure in zip(TASKS, paper, strict=True)
    ]
    for name, figure, case in cases:
        runs = [training_run.measure(case, secs) for _ in range(repeats)]
        frames = [run.rate.steps_per_sec * case.num_action_repeats for run in runs]
        yield {
            "name": f"{name}, {case.env_id}",
            "frames_per_sec": statistics.median(frames),
            "frames_per_sec_of_each_run": frames,
            "paper_frames_per_sec": 1000 * figure,
            "lag_mean": statistics.median(run.lag_mean for run in runs),
            "batch_size": case.batch_size,
            "bottleneck": runs[-1].bottleneck,
        }
