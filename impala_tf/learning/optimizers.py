"""Has the optimizer, and the numbers of an update that may change while a run goes on."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.settings.learning import entropy_cost_factor, learning_rate_factor
from impala_tf.types import LossCosts


class Hyperparameters(NamedTuple):
    """These settings are inputs of the learner's graph, so that a change needs no new trace.

    learning_rate, entropy_cost, teacher_cost: those before their schedules, which `scheduled` applies.
    """

    learning_rate: float
    epsilon: float
    clip_norm: float
    entropy_cost: float
    baseline_cost: float
    weight_decay: float
    kl_cost: float
    teacher_cost: float

    @property
    def costs(self) -> LossCosts:
        return LossCosts(self.entropy_cost, self.baseline_cost, self.kl_cost, self.teacher_cost)

    def as_tensor(self) -> tf.Tensor:
        """Returns [number of fields] float32. `Hyperparameters(*tf.unstack(tensor))` is the inverse."""
        # TensorFlow keeps every Python float that becomes a tensor, 800 bytes an update, but not an array.
        return tf.convert_to_tensor(np.array(self, np.float32))


def hyperparameters_of(config: Config) -> Hyperparameters:
    return Hyperparameters(**{name: getattr(config, name) for name in Hyperparameters._fields})


def scheduled(
    hyperparameters: Hyperparameters, config: Config, environment_frames: int, updates: int
) -> Hyperparameters:
    """Returns the numbers of the update that comes after some frames and updates, as the schedules say."""
    return hyperparameters._replace(
        learning_rate=hyperparameters.learning_rate * learning_rate_factor(config, environment_frames),
        entropy_cost=hyperparameters.entropy_cost * entropy_cost_factor(config, environment_frames),
        teacher_cost=hyperparameters.teacher_cost * config.teacher_cost_decay**updates,
    )


def make_optimizer(config: Config, variables: list[keras.Variable]) -> keras.optimizers.Optimizer:
    """Makes the optimizer that --optimizer names, for these variables.

    Its learning rate, epsilon and weight decay are variables, which `step` sets.
    """
    if config.optimizer == "rmsprop":
        optimizer = keras.optimizers.RMSprop(config.learning_rate, rho=config.decay, momentum=config.momentum)
    else:
        make = keras.optimizers.AdamW if config.optimizer == "adamw" else keras.optimizers.Adam
        optimizer = make(config.learning_rate, beta_1=config.adam_beta_1, beta_2=config.adam_beta_2)
    optimizer.epsilon = keras.Variable(config.epsilon, trainable=False, name="epsilon")
    if config.optimizer == "adamw":  # For the others it is None.
        optimizer.weight_decay = keras.Variable(config.weight_decay, trainable=False, name="weight_decay")
    optimizer.build(variables)
    if config.optimizer == "rmsprop":
        # TensorFlow 1's RMSProp, as in the paper: epsilon is inside the root, as in Keras, but the mean square starts
        # at one (--initial_mean_square) and not at zero.
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
    if optimizer.weight_decay is not None:
        optimizer.weight_decay.assign(hyperparameters.weight_decay)
    optimizer.apply(gradients, variables)
    return norm
