"""Has what the two kinds of actors share."""

from typing import Any

import numpy as np
import tensorflow as tf

from impala_tf.acting.acting_graph import ActingGraph
from impala_tf.acting.seeds import row_seeds
from impala_tf.networks import Agent
from impala_tf.support.diverged import Diverged
from impala_tf.support.places import Place
from impala_tf.types import EnvOutput, Unroll


class BaseActor:
    """A base actor knows its index in the run, and the graph that all actors share.

    index: index of the actor in the run.
    environment: environments of this actor; they are closed with it.
    graph: the `ActingGraph` that all actors of the run share.
    seed: seed of all actors of the run.

    environment_secs: seconds of the last unroll that were spent in the environments.
    num_graph_calls: number of calls of the graph that have returned.
    place: where in its unroll the actor is: "reset" and "step" of its environments, or "policy".
    """

    def __init__(self, index: int, environment: Any, graph: ActingGraph, seed: int):
        self.index = index
        self.environment_secs = 0.0
        self.num_graph_calls = 0
        self.place = Place()
        self._environment = environment
        self.graph = graph
        self.spec = graph.spec
        self._seed = seed
        graph.add(index, self)

    @property
    def agent(self) -> Agent:
        """Returns the agent of the graph. Its variables are not the weights that act."""
        return self.graph.policy.agent

    def unroll(self, policy_version: int, flat_weights: tf.Tensor) -> Unroll:
        """Acts for T steps with the weights [num_parameters] and returns unrolls in the queue's groups.

        policy_version: update count that belongs to the weights; the unrolls carry it.
        Raises EnvironmentFailure when an environment fails for good.
        """
        raise NotImplementedError

    def close(self) -> None:
        self._environment.close()

    def _act(self, policy_version: int, flat_weights: tf.Tensor, inputs: list, actors: np.ndarray) -> list[tf.Tensor]:
        """Runs the graph from the row whose policy inputs are given. actors: [R], the actor of each environment.

        Raises Diverged when the weights make an action that is no action.
        """
        self.place.enter("policy")
        seeds = row_seeds(self._seed, self.index, self.num_graph_calls, self.spec.unroll_length)
        behaviour = self.graph.policy.behaviour.inputs(actors)
        try:
            outputs = self.graph.act(self.index, flat_weights, seeds, behaviour, inputs)
        except Diverged as error:
            raise Diverged(f"with the weights of update {policy_version} {error}") from error
        self.num_graph_calls += 1
        return outputs

    def _zero_actions(self, num_envs: int) -> np.ndarray:
        """Returns [num_envs, ...] zeros, which stand for the last action where there was none."""
        spec = self.spec.leaves.actions
        return np.zeros([num_envs, *spec.shape], spec.dtype)

    def _zero_core_states(self, num_envs: int) -> np.ndarray:
        """Returns [num_envs, S] zeros, the core state before an episode."""
        return np.zeros([num_envs, *self.spec.leaves.core_state.shape], np.float32)


def policy_inputs(row: EnvOutput) -> list:
    """Returns what the policy sees of a row, as a flat list: the observation's leaves, the reward, `first`."""
    if isinstance(row.observation, np.ndarray):
        return [row.observation, row.reward, row.first]
    return [*tf.nest.flatten(row.observation), row.reward, row.first]
