"""Makes vectors of environments of any gymnasium, ALE or EnvPool id, which emit `EnvOutput` rows.

Nothing here imports TensorFlow. Importing this package registers DeepMind Lab's levels and our own small environments
with gymnasium.
"""

from impala_tf.environments import small, suites
from impala_tf.environments.environment_spec import EnvironmentSpec, for_evaluation, spec_for_training, spec_of
from impala_tf.environments.factory import clear_caches, make_partial_environment, make_vector_environment
from impala_tf.environments.families import dmlab
from impala_tf.environments.joined_environment import JoinedEnvironment
from impala_tf.environments.partial_environment import PartialEnvironment
from impala_tf.environments.replayable_environment import ReplayableEnvironment, VectorMark
from impala_tf.environments.restarts import Restarts
from impala_tf.environments.vector_environment import VectorEnvironment
from impala_tf.environments.vectorization import IN_THREADS, available_cores

dmlab.register()
small.register()

__all__ = [
    "IN_THREADS",
    "EnvironmentSpec",
    "JoinedEnvironment",
    "PartialEnvironment",
    "ReplayableEnvironment",
    "Restarts",
    "VectorEnvironment",
    "VectorMark",
    "available_cores",
    "clear_caches",
    "for_evaluation",
    "make_partial_environment",
    "make_vector_environment",
    "spec_for_training",
    "spec_of",
    "suites",
]
