"""Has the algorithms, which are pure losses of a batch of unrolls. The learner knows none of them by name."""

from collections.abc import Callable

from impala_tf.algorithms.impala import Impala
from impala_tf.algorithms.surrogate import Impact, Ppo
from impala_tf.config import Config
from impala_tf.interfaces import Algorithm
from impala_tf.support.own_code import own_function

# Each value makes an algorithm from the settings.
ALGORITHMS: dict[str, Callable[[Config], Algorithm]] = {
    "impala": Impala.from_config,
    "impact": Impact.from_config,
    "ppo": Ppo.from_config,
}


def make_algorithm(config: Config) -> Algorithm:
    """Makes the algorithm that --algorithm names: one of `ALGORITHMS`, or module:function, called with the settings.

    Raises SettingError when there is no such function.
    """
    make = ALGORITHMS.get(config.algorithm) or own_function("algorithm", config.algorithm)
    return make(config)
