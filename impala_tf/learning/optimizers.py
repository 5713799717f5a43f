"""Has the optimizer, and the numbers of an update that may change while a run goes on."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.types import LossCosts


class Hyperparameters(NamedTuple):
    """These settings are inputs of the learner's graph, so that a change needs no new trace.

    learning_rate: step size of the first update; it falls as `settings.learning.linear_decay` says.
    """

    learning_rate: float
    epsilon: float
    clip_norm: float
    entropy_cost: float
    baseline_cost: float

    @property
    def costs(self) -> LossCosts:
        return LossCosts(entropy=self.entropy_cost, baseline=self.baseline_cost)

    def as_tensor(self) -> tf.Tensor:
        """Returns [5] float32. `Hyperparameters(*tf.unstack(tensor))` is the inverse."""
        # TensorFlow keeps every Python float that becomes a tensor, 800 bytes an update, but not an array.
        return tf.convert_to_tensor(np.array(self, np.float32))


def hyperparameters_of(config: Config) -> Hyperparameters:
    return Hyperparameters(**{name: getattr(config, name) for name in Hyperparameters._fields})


def make_optimizer(config: Config, variables: list[keras.Variable]) -> keras.optimizers.RMSprop:
    """Makes TensorFlow 1's RMSProp, as in the paper: the mean square starts at one, and epsilon is inside the root.

    Keras' RMSProp differs in the start only, which is zero there (--initial_mean_square). Its learning rate and its
    epsilon are variables, which `step` sets.
    """
    optimizer = keras.optimizers.RMSprop(config.learning_rate, rho=config.decay, momentum=config.momentum)
    optimizer.epsilon = keras.Variable(config.epsilon, trainable=False, name="epsilon")
    optimizer.build(variables)
    for variable in optimizer.variables:
        if "velocity" in variable.path:
            variable.assign(tf.fill(variable.shape, config.initial_mean_square))
    return optimizer


def step(
    optimizer: keras.optimizers.Optimizer,
    variables: list[keras.Variable],
    gradients: list[tf.Tensor],
    hyperparameters: Hyperparameters,
) -> tf.Tensor:
    """Changes the variables along the gradients, clipped by their global norm. Returns that norm, [] float32.

    hyperparameters: scalar tensors.
    """
    gradients, norm = tf.clip_by_global_norm(gradients, hyperparameters.clip_norm)
    optimizer.learning_rate.assign(hyperparameters.learning_rate)
    optimizer.epsilon.assign(hyperparameters.epsilon)
    optimizer.apply(gradients, variables)
    return norm
