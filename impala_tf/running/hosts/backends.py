"""Makes the feeder of --actor_backend, with its hosts."""

import dataclasses
from collections.abc import Callable

from impala_tf import environments
from impala_tf.config import Config
from impala_tf.environments import EnvironmentSpec
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.weights import WeightStore
from impala_tf.records.metrics import Metrics
from impala_tf.running.hosts.answers import Hosts, Plan, indices_of_hosts
from impala_tf.running.hosts.feeder import Feeder
from impala_tf.running.hosts.processes import ProcessHosts
from impala_tf.running.hosts.ray_hosts import RayHosts


def make_feeder(
    config: Config,
    spec: EnvironmentSpec,
    make_torso: Callable | None,
    queue: UnrollQueue,
    weights: WeightStore,
    metrics: Metrics,
    seed: int,
) -> Feeder | None:
    """Makes the feeder of a run whose actors are in other processes; returns None where they are threads of this one.

    spec: spec of the run's environments. make_torso: argument of `impala_tf.train`. seed: seed of all actors.
    """
    if config.actor_backend == "threads":
        return None
    hosts = make_hosts(config, spec, make_torso, queue, int(weights.latest()[1].shape[0]))
    indices = indices_of_hosts(config.num_actors, config.actors_per_host)
    feeder = Feeder(hosts, indices, queue, weights, metrics, seed)
    metrics.more_columns.append(feeder.traffic.columns)
    return feeder


def make_hosts(
    config: Config, spec: EnvironmentSpec, make_torso: Callable | None, queue: UnrollQueue, num_parameters: int
) -> Hosts:
    """Makes the hosts of --actor_backend; none has been started. num_parameters: number of the weights."""
    plan = Plan(with_own_threads(config, spec), spec, queue.group, make_torso)
    if config.actor_backend == "ray":
        return RayHosts(plan)
    return ProcessHosts(plan, queue.spec, num_parameters)


def with_own_threads(config: Config, spec: EnvironmentSpec) -> Config:
    """Returns the settings of a host, whose environments step in one thread unless --env_threads says otherwise.

    0 means a thread for each core, and there are many hosts.
    """
    if spec.vectorization in environments.IN_THREADS and config.env_threads == 0:
        return dataclasses.replace(config, env_threads=1)
    return config
