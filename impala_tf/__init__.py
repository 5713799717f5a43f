"""IMPALA (Espeholt et al. 2018) in TensorFlow 2 and Keras 3.

Importing the package imports nothing heavy; to read the code, start with `impala_tf.training.connect`, which wires all
parts.
"""

from collections.abc import Callable
from typing import Any

from impala_tf.config import Config, SettingError

__all__ = ["Config", "SettingError", "train"]
__version__ = "0.1.0"


def train(config: Config, make_env: Callable[..., Any] | None = None, make_torso: Callable | None = None) -> Any:
    """Trains as `python -m impala_tf.experiment` does, with an environment and a network of your own.

    make_env: makes one gymnasium environment; it is given render_mode="rgb_array" when a video is drawn. config.env_id
    is then its name: evaluation in another process needs an id that it can find, such as my_module:MyEnv-v0.
    make_torso: from the observation space to a Keras layer, [N, ...] observations (a nest for Dict and Tuple) ->
    [N, F] float32.

    Returns a `training.Summary`. Raises SettingError for a wrong setting, and what the environment raises.
    """
    import gymnasium as gym

    if make_env is not None:
        if config.env_id in gym.registry and gym.spec(config.env_id).entry_point is not make_env:
            raise SettingError(f"--env_id={config.env_id}: is an environment already; give make_env's another name")
        gym.register(config.env_id, make_env)
    from impala_tf import command_line, environments
    from impala_tf.logdir import LogDir
    from impala_tf.startup import import_tensorflow

    # Everything that can be wrong is checked before TensorFlow is imported, which takes seconds.
    environments.spec_for_training(config)
    logdir = LogDir(config, command_line.warn)
    import_tensorflow()
    from impala_tf import training

    command_line.warn(f"{config.env_id}; log directory {logdir.path}")
    return training.train(config, logdir, make_torso)
