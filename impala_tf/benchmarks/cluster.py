"""Predicts frames/s, policy lag and traffic of N actors and L learners, beside the paper's rows, by `cluster_model.py`.

Costs are measured here (one actor alone, one learner alone), read from a result of --suite=ceilings, or given by flags.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from impala_tf import config as config_lib
from impala_tf import environments
from impala_tf.benchmarks import ceilings, cluster_paper
from impala_tf.benchmarks.cluster_model import Costs, Prediction, Sizes, predict
from impala_tf.benchmarks.measure import Rate, median
from impala_tf.config import Config, SettingError
from impala_tf.experience.unroll_writer import UnrollWriter
from impala_tf.networks import make_agent
from impala_tf.running import actors
from impala_tf.settings.cluster_model import ClusterModelSettings

# Costs depend on these settings, so that a file of costs must be of the same ones.
COST_SETTINGS = (
    *("env_id", "num_envs_per_actor", "unroll_length", "batch_size", "network", "hidden_sizes", "core", "core_size"),
    *("frame_stack", "architecture", "dynamic_batching", "envs_per_step", "vectorization"),
)
ADVICE = {
    "actors": "more actors, faster environments, or more environments per actor where the policy's call is the cost",
    "learner": "more learners, a GPU, --xla=on, or a larger batch where an update has a fixed cost",
    "network in": "smaller observations, or more learners, whose cards share the unrolls",
    "network out": "more actors on a machine, which share the weights, longer unrolls, or more learners",
    "messages": "more environments per actor or longer unrolls, so that messages are fewer, or more learners",
}


class Measured(NamedTuple):
    """act_secs: of an actor's unroll. update_secs: of an update. unroll_bytes, weights_bytes: see `Costs`."""

    act_secs: float
    update_secs: float
    unroll_bytes: float
    weights_bytes: float


def rows(config: Config, secs: float, repeats: int, settings: ClusterModelSettings) -> Iterator[dict[str, Any]]:
    """Yields the paper's rows, then those of the paper's costs and those of this command's, from few to many actors.

    Raises SettingError for other actors than those of IMPALA that step all their environments, and where
    --cluster_costs is of other settings.
    """
    if config.architecture != "impala":
        raise SettingError(f"--architecture={config.architecture}: the cluster suite is for impala")
    if config.envs_per_step:
        raise SettingError(f"--envs_per_step={config.envs_per_step}: must be 0 in the cluster suite")
    costs = make_costs(config, settings, measure_costs(config, secs, repeats, settings))
    for row in cluster_paper.rows():
        kind = "calibrated" if row.calibrated else "predicted"
        yield _row(row.name, kind, row.sizes, predict(row.costs, row.sizes), row.frames_per_sec)
    curves = [
        ("the paper's costs", with_network(settings, cluster_paper.SHALLOW, 1), cluster_paper.rows()[1].sizes),
        ("own costs", costs, own_sizes(config, settings)),
    ]
    for kind, its_costs, its_sizes in curves:
        for num_learners in settings.cluster_learners:
            for num_actors in sorted(set(settings.cluster_actors)):
                if num_actors >= num_learners:
                    sizes = dataclasses.replace(
                        its_sizes,
                        num_actors=num_actors,
                        num_learners=num_learners,
                        actors_per_node=settings.cluster_actors_per_node,
                        cores_per_node=settings.cluster_cores_per_node,
                    )
                    name = f"{kind}, {num_actors:,} actors, {num_learners} learner{'s' * (num_learners > 1)}"
                    yield _row(name, kind, sizes, predict(its_costs, sizes))


def _row(name: str, kind: str, sizes: Sizes, prediction: Prediction, paper: float | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "actors": sizes.num_actors,
        "learners": sizes.num_learners,
        "paper_frames_per_sec": "" if paper is None else float(paper),
        "frames_per_sec": prediction.frames_per_sec,
        "limit": prediction.limit,
        "limit_busy": prediction.busy[prediction.limit],
        "lag_mean": prediction.lag_mean,
        "lag_max": prediction.lag_max,
        "gbit_in": prediction.gbit_in,
        "gbit_out": prediction.gbit_out,
    }


def own_sizes(config: Config, settings: ClusterModelSettings) -> Sizes:
    return Sizes(
        num_actors=config.num_actors,
        num_envs=config.num_envs_per_actor,
        batch_size=config.batch_size,
        frames_per_unroll=config.unroll_length * config.num_action_repeats,
        queue_capacity=config.queue_capacity,
    )


def make_costs(config: Config, settings: ClusterModelSettings, measured: Measured) -> Costs:
    """Joins what was measured and what the flags say."""
    costs = Costs(
        act_secs=measured.act_secs,
        act_variation=settings.cluster_act_variation,
        update_secs=measured.update_secs,
        unroll_bytes=measured.unroll_bytes,
        weights_bytes=measured.weights_bytes,
    )
    return with_network(settings, costs, config.num_envs_per_actor)


def with_network(settings: ClusterModelSettings, costs: Costs, num_envs: int) -> Costs:
    """Returns the costs with what the flags say of the network, of messages and of how updates vary.

    num_envs: environments of an actor, whose unrolls are one message.
    """
    copying = num_envs * costs.unroll_bytes / (1e9 * settings.cluster_copy_gbyte_per_sec)
    return dataclasses.replace(
        costs,
        update_variation=settings.cluster_update_variation,
        message_secs=1e-3 * settings.cluster_message_ms + copying,
        bytes_per_sec=1e9 / 8 * settings.cluster_network_gbit,
        latency_secs=1e-3 * settings.cluster_latency_ms,
    )


def measure_costs(config: Config, secs: float, repeats: int, settings: ClusterModelSettings) -> Measured:
    """Takes from the flags what they say, the rest from --cluster_costs, or measures it."""
    environment_spec = environments.spec_of(config)
    agent = make_agent(config, environment_spec.observation_space, environment_spec.action_space)
    spec = actors.unroll_spec_of(agent, config.unroll_length)
    rates = read_costs(settings.cluster_costs, config) if settings.cluster_costs else {}
    act_secs, update_secs = 1e-3 * settings.cluster_act_ms, 1e-3 * settings.cluster_update_ms
    if not act_secs:
        measure_actor = ceilings.measure_actor
        rate = rates.get("actor") or median(
            [measure_actor(config, environment_spec, spec, secs) for _ in range(repeats)]
        )
        act_secs = config.unroll_length * config.num_envs_per_actor * secs_per_step(rate)
    if not update_secs:
        measure_learner = ceilings.measure_learner
        rate = rates.get("learner") or median(
            [measure_learner(config, environment_spec, spec, secs) for _ in range(repeats)]
        )
        update_secs = config.unroll_length * config.batch_size / rate.steps_per_sec
    unroll = UnrollWriter(spec, 1, 1).unroll
    return Measured(
        act_secs=act_secs,
        update_secs=update_secs,
        unroll_bytes=float(sum(leaf.nbytes for leaf in tf.nest.flatten(unroll))),
        weights_bytes=float(agent.flat_weights().numpy().nbytes),
    )


def secs_per_step(rate: Rate) -> float:
    """Returns what a step costs an actor that has one core: all its CPU time, or its wall time if that is more."""
    return max(1 / rate.steps_per_sec, rate.cpu_secs_per_step)


def read_costs(path: str, config: Config) -> dict[str, Rate]:
    """Reads the rows "actor" and "learner" of a result of --suite=ceilings.

    Raises SettingError where there is no such file, or it was measured with settings on which the costs depend.
    """
    name = f"--cluster_costs={path}"
    try:
        result = json.loads(pathlib.Path(path).read_text())
        found = {
            row["name"]: Rate(float(row["steps_per_sec"]), 1e-6 * float(row["cpu_us_per_step"]))
            for row in result["rows"]
            if row["name"] in ("actor", "learner")
        }
        differing = config_lib.differences(config, result["settings"], True)
        differing += config_lib.differences(config, result["settings"], False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(f"{name}: is not a result of --suite=ceilings ({error})") from None
    if len(found) < 2:
        raise SettingError(f"{name}: has no rows actor and learner; measure again with --suite=ceilings")
    for difference in differing:
        if difference.removeprefix("--").partition("=")[0] in COST_SETTINGS:
            raise SettingError(f"{name}: was measured with {difference}")
    return found


def advice(rows_so_far: list[dict[str, Any]]) -> str:
    """Says for each limit of this command's own rows what would help."""
    limits = dict.fromkeys(row["limit"] for row in rows_so_far if row["kind"] == "own costs")
    return "\n".join(f"where the limit is {limit}: {ADVICE[limit]}" for limit in limits)
