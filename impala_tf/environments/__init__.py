"""Environments: any gymnasium id as a vector that emits `EnvOutput` rows. Nothing here imports TensorFlow.

Importing this package registers `impala_tf/CartPoleNoVelocity-v1`.
"""

from impala_tf.environments.cartpole import register
from impala_tf.environments.vector import EnvironmentSpec, VectorEnvironment, make_vector_environment, spec_of

register()

__all__ = ["EnvironmentSpec", "VectorEnvironment", "make_vector_environment", "spec_of"]
