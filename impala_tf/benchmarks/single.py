"""Measures one environment per actor, the paper's form, with and without dynamic batching."""

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

from impala_tf.benchmarks import training_run
from impala_tf.config import Config

NUM_ACTORS = (4, 16)


def cases(config: Config) -> dict[str, Config]:
    """Returns the settings of each case, by its name. A shared call that can be full need not wait for its timeout."""
    found = {}
    for num_actors in NUM_ACTORS:
        own = dict(architecture="impala", dynamic_batching=False, envs_per_step=0, dynamic_batching_min=1)
        never_full = max(1024, num_actors)
        variants: dict[str, dict[str, Any]] = {
            "own policy": own,
            "dynamic batching, full at all actors": own | dict(dynamic_batching=True, dynamic_batching_max=num_actors),
            "dynamic batching, never full": own | dict(dynamic_batching=True, dynamic_batching_max=never_full),
            "one policy call for all (a2c_sync_step)": own | dict(architecture="a2c_sync_step", batch_size=num_actors),
        }
        for name, settings in variants.items():
            case = dataclasses.replace(config, num_actors=num_actors, num_envs_per_actor=1, **settings)
            found[f"{num_actors} x 1, {name}"] = case
    return found


def rows(config: Config, secs: float, repeats: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each case."""
    for name, case in cases(config).items():
        runs = [training_run.measure(case, secs) for _ in range(repeats)]
        yield {
            "name": name,
            "steps_per_sec": statistics.median(run.rate.steps_per_sec for run in runs),
            "cpu_us_per_step": 1e6 * statistics.median(run.rate.cpu_secs_per_step for run in runs),
            "lag_mean": statistics.median(run.lag_mean for run in runs),
            "bottleneck": runs[-1].bottleneck,
        }
