"""Computes the losses of a batch of unrolls and their gradients."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from impala_tf.algorithms.transitions import last_actions
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.interfaces import Algorithm
from impala_tf.learning.optimizers import Hyperparameters
from impala_tf.networks import Agent
from impala_tf.support.graphs import direct_call
from impala_tf.types import LossCosts, NetworkOutputs, Unroll


def batch_losses(algorithm: Algorithm, agent: Agent, batch: Unroll, costs: LossCosts) -> Any:
    """Returns the algorithm's losses of a batch [T + 1, B, ...] under the agent's weights."""
    rows = batch.env_outputs
    inputs = (rows.observation, rows.reward, last_actions(batch), rows.first, batch.core_state)
    outputs = NetworkOutputs(*agent.unroll(*inputs))
    # The network sees rewards as they are; the loss sees them in units of the task's returns (--normalise_returns).
    scaled = rows._replace(reward=rows.reward * agent.reward_scale(batch.task))
    return algorithm.loss(batch._replace(env_outputs=scaled), outputs, agent.distribution, costs)


def losses_and_gradients(
    algorithm: Algorithm, agent: Agent, batch: Unroll, costs: LossCosts
) -> tuple[Any, list[tf.Tensor]]:
    """Returns `batch_losses`, and the gradient of their total to each of the agent's variables.

    Gradients are dense. TensorFlow gives an embedding's as slices, a list of rows in which a row may come twice: A3C
    could not hand slices on, and their global norm would not add up equal rows.
    """
    with tf.GradientTape() as tape:
        losses = batch_losses(algorithm, agent, batch, costs)
    gradients = tape.gradient(losses.total, agent.variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return losses, [tf.convert_to_tensor(gradient) for gradient in gradients]


class GradientWorker:
    """Computes an A3C worker's gradients, under the weights that `agent` has now."""

    def __init__(self, algorithm: Algorithm, agent: Agent, xla: bool):
        self._algorithm = algorithm
        self._agent = agent
        self._call: Callable | None = None
        self._function = tf.function(self._graph, autograph=False, jit_compile=xla)

    def gradients(self, groups: Unroll, hyperparameters: Hyperparameters) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Returns (the algorithm's losses, a gradient per variable of the agent). groups: a batch in groups."""
        inputs = [*tf.nest.flatten(groups), hyperparameters.as_tensor()]
        if self._call is None:
            self._call = direct_call(lambda *x: self._function(tf.nest.pack_sequence_as(groups, x[:-1]), x[-1]), inputs)
        outputs = self._call(inputs)
        num_losses = len(self._algorithm.metric_names)
        return outputs[:num_losses], outputs[num_losses:]

    def _graph(self, groups: Unroll, hyperparameters: tf.Tensor) -> list[tf.Tensor]:
        costs = Hyperparameters(*tf.unstack(hyperparameters)).costs
        losses, gradients = losses_and_gradients(self._algorithm, self._agent, join_groups(groups), costs)
        return [*losses, *gradients]
