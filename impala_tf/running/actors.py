"""Makes the actors of a run, with their graphs, policies and environments."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from impala_tf import environments
from impala_tf.acting.acting_graph import ActingGraph
from impala_tf.acting.actor import Actor, VectorActingGraph
from impala_tf.acting.base_actor import BaseActor
from impala_tf.acting.behaviour import Behaviour
from impala_tf.acting.inference import DynamicBatchingPolicy, LocalPolicy, Policy
from impala_tf.acting.partial_actor import PartialActingGraph, PartialActor
from impala_tf.config import Config
from impala_tf.environments import Restarts
from impala_tf.experience.unroll_spec import UnrollSpec, unroll_spec
from impala_tf.experience.weights import WeightStore
from impala_tf.learning.devices import default_device
from impala_tf.networks import Agent
from impala_tf.spaces.observation_spaces import zeros
from impala_tf.types import ArraySpec


def unroll_spec_of(agent: Agent, unroll_length: int, num_baselines: int = 0) -> UnrollSpec:
    """Returns the spec of an agent's unrolls. num_baselines: argument of `unroll_spec`."""
    space, distribution = agent.observation_space, agent.distribution
    action = ArraySpec(distribution.action_shape, np.dtype(distribution.action_dtype.as_numpy_dtype))
    observation = tf.nest.map_structure(lambda x: ArraySpec(x.shape, x.dtype), zeros(space))
    parameters, state_size = distribution.num_parameters, agent.state_size
    return unroll_spec(unroll_length, observation, action, parameters, state_size, num_baselines)


def run_unroll_spec(config: Config, agent: Agent) -> UnrollSpec:
    """Returns the spec of the run's unrolls. agent: an agent of the run."""
    return unroll_spec_of(agent, config.unroll_length, int(config.clone_baseline_cost > 0))


def unrolls_at_once(config: Config) -> int:
    """Returns how many unrolls an actor makes at once."""
    if config.envs_per_step:
        return 1  # Environments that are handed out in parts end their unrolls one by one.
    return config.num_envs_per_actor * (config.num_actors if config.architecture == "a2c_sync_step" else 1)


def rows_per_call(config: Config) -> int:
    """Returns the number of environments in one actor's policy call."""
    return config.envs_per_step or unrolls_at_once(config)


def make_actors(
    config: Config,
    seed: int,
    graph_of: Callable[[int], ActingGraph],
    group: int,
    at_once: int,
    indices: Sequence[int] = (),
    restarts: Restarts | None = None,
) -> list[BaseActor]:
    """Makes the actors with their environments.

    graph_of: function that returns the graph in which an actor acts, from its index.
    group: number of unrolls in an element of the queue.
    at_once: number of actors that may act at the same time.
    indices: indices of the actors that are made; none means all of the run.
    restarts: restarts of their environments; None means that each actor has its own.
    """
    num_envs = config.num_envs_per_actor
    indices = indices or range(config.num_actors)
    if config.envs_per_step:
        partial = [environments.make_partial_environment(config, seed, i, num_envs) for i in indices]
        return [
            PartialActor(i, environment, graph_of(i), seed) for i, environment in zip(indices, partial, strict=True)
        ]
    vectors = [environments.make_vector_environment(config, seed, i, num_envs, restarts=restarts) for i in indices]
    if config.architecture == "a2c_sync_step":
        return [Actor(0, environments.JoinedEnvironment(vectors, at_once), graph_of(0), group, seed)]
    return [Actor(i, vector, graph_of(i), group, seed) for i, vector in zip(indices, vectors, strict=True)]


def make_acting_graphs(
    config: Config, make_new_agent: Callable[[], Agent], weights: WeightStore, spec: UnrollSpec
) -> Callable[[int], ActingGraph]:
    """Returns a function from an actor's index to the graph in which it acts; all actors share one.

    A3C's workers have a graph each, whose agent also computes the worker's gradients.
    """

    def make_graph() -> ActingGraph:
        return (PartialActingGraph if config.envs_per_step else VectorActingGraph)(
            make_policy(config, make_new_agent, weights), spec
        )

    if config.architecture == "a3c":
        graphs = [make_graph() for _ in range(config.num_actors)]
        return graphs.__getitem__
    shared = make_graph()
    return lambda index: shared


def concurrent_actors(config: Config, vectorization: str) -> int:
    """Returns how many actors may act at the same time, see --concurrent_actors."""
    if config.concurrent_actors:
        return config.concurrent_actors
    # Environments in other processes or threads, and actors that wait for each other's requests, do not hold Python's
    # lock.
    if config.dynamic_batching or vectorization in ("async", *environments.IN_THREADS):
        return config.num_actors
    return max(1, environments.available_cores() - 1)


def make_policy(config: Config, make_new_agent: Callable[[], Agent], weights: WeightStore) -> Policy:
    """Makes the policy of an acting graph."""
    behaviour = Behaviour.from_config(config)
    with tf.device("/GPU:0" if config.dynamic_batching and "GPU" in default_device() else "/CPU:0"):
        if not config.dynamic_batching:
            return LocalPolicy(make_new_agent(), behaviour)
        policy = DynamicBatchingPolicy(
            make_new_agent(),
            config.dynamic_batching_min,
            config.dynamic_batching_max,
            config.dynamic_batching_timeout_ms,
            behaviour,
        )
    weights.add_listener(policy.publish_to)
    return policy
