"""Says how the policy that acts differs from the one that learns, so that actors explore."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.spaces.distributions import ActionDistribution

APE_X_EXPONENT = 7.0  # Horgan et al. 2018, section 4: alpha.


@dataclasses.dataclass(frozen=True)
class Behaviour:
    """Actors temper the policy, then mix it with the uniform distribution. What acts is recorded, so V-trace corrects.

    temperatures, epsilons: [num_actors] float32, of each actor; None leaves this change out of the graph.
    """

    temperatures: np.ndarray | None = None
    epsilons: np.ndarray | None = None

    @classmethod
    def from_config(cls, config: Config) -> "Behaviour":
        # 0 for the actor that explores most, 1 for the one that explores least.
        position = np.zeros(config.num_actors)
        if config.behaviour_spread:
            position = np.arange(config.num_actors) / (config.num_actors - 1)
        temperatures = config.behaviour_temperature ** (1 - position)
        epsilons = config.behaviour_epsilon ** (1 + APE_X_EXPONENT * position)
        return cls(
            temperatures.astype(np.float32) if config.behaviour_temperature != 1 else None,
            epsilons.astype(np.float32) if config.behaviour_epsilon > 0 else None,
        )

    @property
    def num_inputs(self) -> int:
        return len(self.inputs(np.zeros(0, np.int32)))

    def inputs(self, actors: np.ndarray) -> list[np.ndarray]:
        """Returns what `change` needs for rows of these actors [R]: [R] float32 each, nothing where nothing changes."""
        return [numbers[actors] for numbers in (self.temperatures, self.epsilons) if numbers is not None]

    def change(self, distribution: ActionDistribution, inputs: Sequence[tf.Tensor], parameters: tf.Tensor) -> tf.Tensor:
        """Maps the policy's parameters [R, P] to those of the distribution that acts. inputs: see `inputs`."""
        left = list(inputs)
        if self.temperatures is not None:
            parameters = distribution.tempered(parameters, left.pop(0))
        if self.epsilons is not None:
            parameters = distribution.mixed_with_uniform(parameters, left.pop(0))
        return parameters


UNCHANGED = Behaviour()  # The policy itself acts.
