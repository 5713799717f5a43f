"""Measures the speed of each component alone, and which share of the cores' ceiling a training run reaches."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf import environments
from impala_tf.acting.actor import Actor
from impala_tf.acting.inference import LocalPolicy
from impala_tf.algorithms import make_algorithm
from impala_tf.benchmarks import training_run
from impala_tf.benchmarks.measure import Rate, measure_in_threads, median
from impala_tf.config import Config
from impala_tf.experience.unroll_queue import UnrollQueue
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.experience.unroll_writer import UnrollWriter
from impala_tf.experience.weights import WeightStore
from impala_tf.learning.devices import default_device
from impala_tf.learning.learner import Learner
from impala_tf.networks import make_agent
from impala_tf.running import actors
from impala_tf.spaces.observation_spaces import zeros
from impala_tf.support.graphs import direct_call
from impala_tf.types import Unroll

BATCHES = (1, 8, 64)  # The policy alone is measured with these numbers of rows beside the run's own.


def rows(config: Config, secs: float, repeats: int) -> Iterator[dict[str, Any]]:
    """Yields a row for each component, one for an actor alone, then one for a training run.

    efficiency of the run = its steps/s / ceiling, where ceiling = cores / sum of the components' CPU seconds a step.
    """
    environment_spec = environments.spec_of(config)
    agent = make_agent(config, environment_spec.observation_space, environment_spec.action_space)
    spec = actors.unroll_spec_of(agent, config.unroll_length)
    num_envs = actors.rows_per_call(config)
    parts = {
        "environment": functools.partial(measure_environment, config, environment_spec, secs),
        f"policy, {num_envs} rows": functools.partial(measure_policy, agent, config.unroll_length, num_envs, secs),
        "learner": functools.partial(measure_learner, config, environment_spec, spec, secs),
        "queue": functools.partial(measure_queue, config, spec, secs),
    }
    measured = {}
    for name, part in parts.items():
        measured[name] = median([part() for _ in range(repeats)])
        yield _row(name, measured[name])
    for batch in BATCHES:
        if batch != num_envs:
            rate = median([measure_policy(agent, config.unroll_length, batch, secs) for _ in range(repeats)])
            yield _row(f"policy, {batch} rows", rate)
    if not config.envs_per_step:
        yield _row("actor", median([measure_actor(config, environment_spec, spec, secs) for _ in range(repeats)]))
    runs = [training_run.measure(config, secs) for _ in range(repeats)]
    rate = median([run.rate for run in runs])
    ceiling = environments.available_cores() / sum(part.cpu_secs_per_step for part in measured.values())
    yield _row("whole", rate) | {
        "efficiency": rate.steps_per_sec / ceiling,
        "ceiling_steps_per_sec": ceiling,
        "to_parts": {name: rate.steps_per_sec / part.steps_per_sec for name, part in measured.items()},
        "steps_per_sec_of_each_run": [run.rate.steps_per_sec for run in runs],
        "bottleneck": runs[-1].bottleneck,
    }


def _row(name: str, rate: Rate) -> dict[str, Any]:
    return {
        "name": name,
        "steps_per_sec": rate.steps_per_sec,
        "cpu_us_per_step": 1e6 * rate.cpu_secs_per_step,
    }


def measure_environment(config: Config, environment_spec: environments.EnvironmentSpec, secs: float) -> Rate:
    """Steps the environments with random actions, in as many threads as actors would act at a time."""
    num_threads = min(config.num_actors, actors.concurrent_actors(config, environment_spec.vectorization))
    num_envs = config.num_envs_per_actor
    make: Any = environments.make_vector_environment
    num_rows = num_envs
    if config.envs_per_step:
        make, num_rows = environments.make_partial_environment, config.envs_per_step
    vectors = [make(config, config.seed, i, num_envs) for i in range(num_threads)]
    works = [_stepper(vector, num_rows, environment_spec.action_space, i) for i, vector in enumerate(vectors)]
    try:
        return measure_in_threads(works, secs)
    finally:
        for vector in vectors:
            vector.close()


def _stepper(vector: Any, num_rows: int, space: gym.Space, seed: int):
    random = np.random.default_rng(seed)
    assert isinstance(space, gym.spaces.Discrete)
    actions = random.integers(space.n, size=(64, num_rows)) + space.start
    vector.reset()

    def work() -> int:
        steps = 0
        for action in actions:
            emitted = vector.step(action)
            row = emitted[1] if isinstance(vector, environments.PartialEnvironment) else emitted
            steps += num_rows - int(np.count_nonzero(row.first))
        return steps

    return work


def measure_policy(agent, unroll_length: int, num_rows: int, secs: float) -> Rate:
    """Calls the policy T times in one graph, as an actor does."""
    local = LocalPolicy(agent)
    observation = tf.convert_to_tensor(np.stack([zeros(agent.observation_space)] * num_rows))
    distribution = agent.distribution
    action = tf.zeros([num_rows, *distribution.action_shape], distribution.action_dtype)
    row = [observation, action, tf.zeros([num_rows]), tf.zeros([num_rows], tf.bool), agent.initial_state(num_rows)]
    inputs = [agent.flat_weights(), *row]

    def graph(flat_weights, observation, action, reward, first, core_state):
        parameters = tf.zeros([num_rows, distribution.num_parameters])
        with local.with_weights(flat_weights):
            for t in range(unroll_length):
                # Each observation depends on the step before, as in a run; otherwise TensorFlow would compute the
                # features once for all steps, or only those of the last one. Parameters are never infinite.
                shown = tf.where(tf.reduce_any(tf.math.is_inf(parameters)), tf.zeros_like(observation), observation)
                step = local.step(shown, reward, action, first, core_state, tf.constant([0, t]))
                action, core_state, parameters = step.action, step.core_state, step.parameters
        return action, core_state

    with tf.device("/CPU:0"):  # Actors act on the CPU.
        call = direct_call(graph, inputs)

    def work() -> int:
        with tf.device("/CPU:0"):
            call(inputs)[0].numpy()
        return unroll_length * num_rows

    return measure_in_threads([work], secs)


def synthetic_unrolls(spec: UnrollSpec, space: gym.Space, batch_size: int) -> Unroll:
    """Returns `batch_size` unrolls as numpy arrays, with one random observation in every row and zeros else."""
    unroll = UnrollWriter(spec, batch_size, batch_size).unroll
    for leaf in tf.nest.flatten(unroll):
        leaf.fill(0)
    space.seed(0)
    unroll.env_outputs.observation[:] = space.sample()
    return unroll


def measure_actor(
    config: Config, environment_spec: environments.EnvironmentSpec, spec: UnrollSpec, secs: float
) -> Rate:
    """Makes unrolls with one actor and throws them away: environments, policy, and what lies between them."""
    make = functools.partial(make_agent, config, environment_spec.observation_space, environment_spec.action_space)
    weights = WeightStore()
    graph = actors.make_acting_graphs(config, make, weights, spec)(0)
    weights.publish(0, graph.policy.agent.flat_weights())
    vector = environments.make_vector_environment(config, config.seed, 0, config.num_envs_per_actor)
    group = math.gcd(config.batch_size, config.num_envs_per_actor)
    actor = Actor(0, vector, graph, group, config.seed)

    def work() -> int:
        with tf.device("/CPU:0"):
            actor.unroll(*weights.latest())
        return config.unroll_length * config.num_envs_per_actor

    try:
        return measure_in_threads([work], secs)
    finally:
        actor.close()


def measure_learner(
    config: Config, environment_spec: environments.EnvironmentSpec, spec: UnrollSpec, secs: float
) -> Rate:
    """Makes updates from one batch, which is on the device already."""
    device = default_device()
    with tf.device(device):
        agent = make_agent(config, environment_spec.observation_space, environment_spec.action_space)
        learner = Learner(config, agent, make_algorithm(config), device)
        unroll = synthetic_unrolls(spec, environment_spec.observation_space, config.batch_size)
        batch = tf.nest.map_structure(tf.convert_to_tensor, unroll)

    def work() -> int:
        learner.update(batch, 0).metrics.numpy()
        return config.unroll_length * config.batch_size

    return measure_in_threads([work], secs)


def measure_queue(config: Config, spec: UnrollSpec, secs: float) -> Rate:
    """Puts unrolls into the queue and takes batches out, by turns in one thread."""
    num_unrolls = actors.unrolls_at_once(config)
    queue = UnrollQueue(spec, config.batch_size, num_unrolls, capacity=config.batch_size + num_unrolls)
    unrolls = UnrollWriter(spec, num_unrolls, queue.group).unroll
    for leaf in tf.nest.flatten(unrolls):
        leaf.fill(0)

    def work() -> int:
        steps = 0
        while queue.size() < config.batch_size:
            queue.put(unrolls)
        while queue.size() >= config.batch_size:
            queue.get()
            steps += config.batch_size * config.unroll_length
        return steps

    return measure_in_threads([work], secs)
