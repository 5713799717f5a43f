"""Has the actors of one process outside of the learner's: environments, a policy, and the project's own actors."""

import functools
import os
import time

import numpy as np
import tensorflow as tf

from impala_tf import environments
from impala_tf.acting.actor import Actor
from impala_tf.experience.weights import WeightStore
from impala_tf.networks import make_agent
from impala_tf.running.actors import make_acting_graphs, make_actors, run_unroll_spec
from impala_tf.running.hosts.answers import HostUnroll, Plan


def limit_process() -> None:
    """Makes TensorFlow use one thread and no GPU: the cores belong to many such processes, the GPU to the learner.

    It must be called before TensorFlow's first op.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


class ActorHost:
    """A host has one or more actors, which take turns: they share a core, TensorFlow and the policy's graph.

    plan: what the run's hosts have in common.
    indices: indices of this host's actors in the run.
    seed: seed of its actors; with the same one, actors make the same unrolls from the same weights.

    spec: spec of one unroll.
    """

    def __init__(self, plan: Plan, indices: range, seed: int):
        config, spec = plan.config, plan.spec
        make_new_agent = functools.partial(
            make_agent, config, spec.observation_space, spec.action_space, plan.make_torso, len(spec.tasks)
        )
        agent = make_new_agent()
        self.spec = run_unroll_spec(config, agent)
        graph_of = make_acting_graphs(config, lambda: agent, WeightStore(), self.spec)
        self._new_restarts = 0
        restarts = environments.Restarts(config.max_env_restarts, self._count_restart)
        self._actors = make_actors(config, seed, graph_of, plan.group, 1, indices, restarts)
        self._turn = 0
        self._ended: float | None = None

    def unroll(self, version: int, weights: np.ndarray) -> HostUnroll:
        """Lets the actor whose turn it is act for T steps; see `BaseActor.unroll`.

        weights: [num_parameters] float32. version: their update count, which the unrolls carry.
        Raises EnvironmentFailure when an environment fails for good.
        """
        started = time.perf_counter()
        idle_secs = 0.0 if self._ended is None else started - self._ended
        actor = self._actors[self._turn]
        self._turn = (self._turn + 1) % len(self._actors)
        assert isinstance(actor, Actor)
        with tf.device("/CPU:0"):
            actor.unroll(version, tf.convert_to_tensor(weights))
        self._ended = time.perf_counter()
        env_restarts, self._new_restarts = self._new_restarts, 0
        return HostUnroll(actor.written, self._ended - started, actor.environment_secs, idle_secs, env_restarts)

    def _count_restart(self) -> None:
        self._new_restarts += 1

    def close(self) -> None:
        """Closes the environments."""
        for actor in self._actors:
            actor.close()
