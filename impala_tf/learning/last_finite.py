"""Keeps what the last finite update left, so that the next one can be undone."""

from collections.abc import Sequence

import tensorflow as tf

from impala_tf.networks import Agent


class LastFinite:
    """This keeps an agent's weights and statistics, and the values of other variables of its learner.

    variables: all variables that an update changes; nothing where only the agent's are to be kept.

    flat_weights: [num_parameters] float32, the agent's, see `Agent.flat_weights`.
    num_values: number of variables.
    """

    def __init__(self, agent: Agent, variables: Sequence[tf.Variable]):
        self._agent = agent
        self._variables = variables
        self._flat_weights: tf.Tensor | None = None
        self._values: Sequence[tf.Tensor] = ()
        self.num_values = len(variables)

    def read(self) -> list[tf.Tensor]:
        """Returns the values of the variables; also within a graph."""
        return [variable.read_value() for variable in self._variables]

    def begin(self) -> None:
        """Keeps what is there before an update, if nothing is known yet."""
        if self._flat_weights is None:
            self.keep(self._agent.flat_weights(), self.read())

    def keep(self, flat_weights: tf.Tensor, values: Sequence[tf.Tensor]) -> None:
        """Keeps what an update has left. values: what `read` returned after it."""
        self._flat_weights, self._values = flat_weights, values

    def restore(self) -> tf.Tensor:
        """Gives all variables what was kept, and returns the agent's flat weights."""
        assert self._flat_weights is not None
        self._agent.assign_flat_weights(self._flat_weights)
        for variable, value in zip(self._variables, self._values, strict=True):
            variable.assign(value)
        return self._flat_weights

    def forget(self) -> None:
        """Forgets everything, because somebody else has changed the variables."""
        self._flat_weights, self._values = None, ()
