"""Has the algorithms, which are pure losses of a batch of unrolls. The learner knows none of them by name."""

from collections.abc import Callable

from impala_tf.algorithms.corrections import make_impala
from impala_tf.algorithms.surrogate import Impact, Ppo
from impala_tf.config import Config, SettingError
from impala_tf.interfaces import Algorithm
from impala_tf.support.messages import with_place
from impala_tf.support.own_code import own_function

# Each value makes an algorithm from the settings.
ALGORITHMS: dict[str, Callable[[Config], Algorithm]] = {
    "impala": make_impala,
    "impact": Impact.from_config,
    "ppo": Ppo.from_config,
}


def make_algorithm(config: Config) -> Algorithm:
    """Makes the algorithm that --algorithm names: one of `ALGORITHMS`, or module:function, called with the settings.

    Raises SettingError when there is no such function, or when it fails or makes something else.
    """
    if config.algorithm in ALGORITHMS:
        return ALGORITHMS[config.algorithm](config)
    make = own_function("algorithm", config.algorithm)
    try:
        algorithm = make(config)
    except Exception as error:
        raise SettingError(f"--algorithm={config.algorithm}: fails ({with_place(error)})") from error
    missing = [name for name in ("loss", "metric_names", "needs") if not hasattr(algorithm, name)]
    if missing:
        raise SettingError(
            f"--algorithm={config.algorithm}: returns a {type(algorithm).__name__} without {', '.join(missing)}; must "
            "return an `impala_tf.interfaces.Algorithm`"
        )
    return algorithm
