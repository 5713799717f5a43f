"""One environment per actor, the paper's form: with policies of their own, and with dynamic batching."""

import dataclasses
import statistics
from collections.abc import Iterator
from typing import Any

from impala_tf.benchmarks import whole
from impala_tf.config import Config

NUM_ACTORS = (4, 16)


def variants(num_actors: int) -> dict[str, dict[str, Any]]:
    """Settings of each form. A shared call that can be full need not wait for its timeout."""
    return {
        "own policy": {},
        "dynamic batching, full at all actors": dict(dynamic_batching=True, dynamic_batching_max=num_actors),
        "dynamic batching, never full": dict(dynamic_batching=True),
        "one policy call for all (a2c_sync_step)": dict(architecture="a2c_sync_step", batch_size=num_actors),
    }


def rows(config: Config, secs: float, repeats: int) -> Iterator[dict[str, Any]]:
    for num_actors in NUM_ACTORS:
        for name, settings in variants(num_actors).items():
            one = dataclasses.replace(config, num_actors=num_actors, num_envs_per_actor=1, **settings)
            runs = [whole.measure(one, secs) for _ in range(repeats)]
            yield {
                "name": f"{num_actors} x 1, {name}",
                "steps_per_sec": statistics.median(run.rate.steps_per_sec for run in runs),
                "cpu_us_per_step": 1e6 * statistics.median(run.rate.cpu_secs_per_step for run in runs),
                "lag_mean": statistics.median(run.lag_mean for run in runs),
                "bottleneck": runs[-1].bottleneck,
            }
