"""Actors over test environments, and their unrolls after their way through the queue."""

import numpy as np

from impala_tf import environments
from impala_tf.acting.actor import Actor, VectorActingGraph
from impala_tf.acting.inference import LocalPolicy
from impala_tf.config import Config
from impala_tf.experience.unroll_queue import UnrollQueue, join_groups
from impala_tf.experience.unroll_spec import map_leaves
from impala_tf.networks import make_agent
from impala_tf.running.actors import unroll_spec_of
from impala_tf.types import TIME_MAJOR_FIELDS
from tests.support.environments import COUNTING

T = 4


def make_actor(env_id=COUNTING, num_envs=6, batch_size=3, seed=1, index=0, **settings):
    """An actor and the queue that its unrolls are for. Baselines are recorded."""
    config = Config(env_id=env_id, use_last_action_and_reward=True, **settings)
    environment_spec = environments.spec_of(config)
    agent = make_agent(config, environment_spec.observation_space, environment_spec.action_space)
    spec = unroll_spec_of(agent, T, num_baselines=1)
    queue = UnrollQueue(spec, batch_size, num_envs, capacity=10_000)
    environment = environments.make_vector_environment(config, seed, index, num_envs)
    graph = VectorActingGraph(LocalPolicy(agent), spec)
    return Actor(index, environment, graph, queue.group, seed), queue, agent


def unrolls(actor, queue, agent, num_unrolls, weights=None):
    """`num_unrolls` unrolls of all environments, numpy, after their way through the queue."""
    num_envs = actor._environment.num_envs
    for version in range(num_unrolls):
        queue.put(actor.unroll(version, agent.flat_weights() if weights is None else weights))
    num_batches, rest = divmod(num_unrolls * num_envs, queue.batch_size)
    assert rest == 0
    batches = [join_groups(queue.get()) for _ in range(num_batches)]

    def cut(name, _, *leaves):
        axis = 1 if name in TIME_MAJOR_FIELDS else 0
        return np.stack(np.split(np.concatenate(leaves, axis), num_unrolls, axis))

    cuts = map_leaves(cut, queue.spec, *batches)
    return [map_leaves(lambda name, _, leaf, i=i: leaf[i], queue.spec, cuts) for i in range(num_unrolls)]
