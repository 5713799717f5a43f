"""Environments: any gymnasium, ALE or EnvPool id as a vector that emits `EnvOutput` rows.

Nothing here imports TensorFlow. Importing this package registers the ids of `cartpole.py`, `dmlab.py` and `tasks.py`.
"""

from impala_tf.environments import cartpole, dmlab, suites, tasks
from impala_tf.environments.backends import IN_THREADS, cores
from impala_tf.environments.making import forget, make_partial_environment, make_vector_environment
from impala_tf.environments.specs import EnvironmentSpec, for_evaluation, spec_for_training, spec_of
from impala_tf.environments.vector import JoinedEnvironment, PartialEnvironment, VectorEnvironment

cartpole.register()
dmlab.register()
tasks.register()

__all__ = [
    "IN_THREADS",
    "EnvironmentSpec",
    "JoinedEnvironment",
    "PartialEnvironment",
    "VectorEnvironment",
    "cores",
    "for_evaluation",
    "forget",
    "make_partial_environment",
    "make_vector_environment",
    "spec_for_training",
    "spec_of",
    "suites",
]
