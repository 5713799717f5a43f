"""Lets an agent that is still being trained play whole episodes."""

import numpy as np
import tensorflow as tf

from impala_tf.networks import Agent


class AgentPlayer:
    """This `playing.Player` plays with an agent of its own, to which the evaluator gives new weights."""

    def __init__(self, agent: Agent):
        self.agent = agent
        self._step = tf.function(self._step_graph, autograph=False)

    def _step_graph(self, observation, reward, last_action, first, core_state, seed):
        step = self.agent.step(observation, reward, last_action, first, core_state, seed)
        mode = self.agent.distribution.mode(step.parameters)
        return dict(action=step.action, greedy_action=mode, core_state=step.core_state)

    def initial_state(self, batch_size: int) -> tf.Tensor:
        return self.agent.initial_state(batch_size)

    def initial_action(self, batch_size: int) -> np.ndarray:
        distribution = self.agent.distribution
        return np.zeros([batch_size, *distribution.action_shape], distribution.action_dtype.as_numpy_dtype)

    def step(self, observation, reward, last_action, first, core_state, seed) -> dict[str, tf.Tensor]:
        inputs = (observation, reward, last_action, first, core_state, seed)
        return self._step(*tf.nest.map_structure(tf.convert_to_tensor, inputs))
