"""IMPALA (Espeholt et al. 2018) in TensorFlow 2 and Keras 3.

Importing the package imports nothing heavy; to read the code, start with
`impala_tf.running.wiring.connect`, which makes and connects all components.
"""

import sys

from impala_tf.support import process

if sys.argv[:1] == ["-m"]:  # Python is looking for a main of this package and has imported nothing else yet.
    process.begin()

import functools
from collections.abc import Callable
from typing import Any

from impala_tf.config import Config, SettingError
from impala_tf.settings.learners import hosts_of

__all__ = ["Config", "SettingError", "train"]
__version__ = "0.1.0"


def train(
    config: Config,
    make_env: Callable[..., Any] | None = None,
    make_torso: Callable | None = None,
    shape_rewards: Callable | None = None,
) -> Any:
    """Trains as `python -m impala_tf.experiment` does, with an environment, a network and rewards of your own.

    make_env: function that makes one gymnasium environment; it gets render_mode="rgb_array" when a video is drawn.
        config.env_id is then its name; evaluation in another process needs an id that it can find, such as
        my_module:MyEnv-v0.
    make_torso: function from the observation space to a Keras layer, which maps observations [N, ...] (a nest for Dict
        and Tuple) to features [N, F] float32.
    shape_rewards: function from a batch of unrolls (`types.Unroll`, [T + 1, B, ...]) to the rewards that are learned
        from, [T + 1, B] float32, in TensorFlow. Reported returns stay those of the environment. Potentials do not
        change which policy is best (Ng et al. 1999): r_t + gamma phi_t - phi_{t-1}, with phi 0 after the end:

            rows, phi = unroll.env_outputs, potential(unroll.env_outputs.observation)
            phi_t = tf.where(rows.terminated, 0.0, phi)
            return rows.reward + tf.concat([phi[:1] * 0, gamma * phi_t[1:] - phi[:-1]], axis=0)

    Returns a `records.summary.Summary`. Raises SettingError for a wrong setting, and
    `support.failures.EnvironmentFailure` when an environment fails, whose cause is the environment's exception if that
    was raised in this process.
    """
    for name, given in (("make_env", make_env), ("make_torso", make_torso), ("shape_rewards", shape_rewards)):
        if given is not None and not callable(given):
            raise SettingError(f"{name}: must be a function or a class, not a {type(given).__name__}")
    if make_env is not None:
        _register(config, make_env)
    from impala_tf.running import followers
    from impala_tf.support.others import ending_with_others

    followers.check_number(config, len(hosts_of(config)) or 1)
    with ending_with_others(), followers.own_records(config) as own_config:
        return _train(own_config, make_torso, shape_rewards)


def _train(config: Config, make_torso: Callable | None, shape_rewards: Callable | None) -> Any:
    """Checks the settings, imports TensorFlow, and trains."""
    from impala_tf import environments
    from impala_tf.records.logdir import LogDir, teacher_exports
    from impala_tf.records.summary import finished
    from impala_tf.running import followers
    from impala_tf.running.hosts.ray_hosts import check_ray
    from impala_tf.support.messages import warn
    from impala_tf.support.signals import ending_with
    from impala_tf.support.startup import import_tensorflow

    # Everything that can be wrong is checked before TensorFlow is imported, which takes seconds.
    environments.clear_caches()
    environments.spec_for_training(config)
    teacher_exports(config.teacher)
    check_ray(config)
    logdir = LogDir(config, warn)
    place = followers.said(config) if config.learner_index else f"; log directory {logdir.path}"
    warn(f"{config.env_id}{place}")
    if not config.learner_hosts and (summary := finished(config, logdir, warn)):
        return summary
    try:
        with logdir.held(), ending_with("ended before training began", logdir.remove_if_empty):
            learners = import_tensorflow(functools.partial(_join_learners, config))
            from impala_tf.running import training

            return training.train(config, logdir, make_torso, shape_rewards, learners)
    except (SettingError, KeyboardInterrupt):
        logdir.remove_if_empty()
        raise


def _join_learners(config: Config) -> Any:
    """Joins the other learners; this must come before TensorFlow's first op."""
    from impala_tf.learning.cluster import ALONE, Cluster

    return Cluster(hosts_of(config), config.learner_index) if config.learner_hosts else ALONE


def _register(config: Config, make_env: Callable[..., Any]) -> None:
    """Gives gymnasium make_env under the name --env_id. Raises SettingError where that cannot be."""
    import gymnasium as gym

    known = gym.registry.get(config.env_id)
    # A function of the same name, perhaps defined again in a notebook, may replace the earlier one.
    if known and getattr(known.entry_point, "__qualname__", "") != getattr(make_env, "__qualname__", None):
        raise SettingError(f"--env_id={config.env_id}: is an environment already; give make_env's another name")
    if config.vectorization == "async":
        raise SettingError("--vectorization=async: other processes do not know make_env; register an id instead")
    if config.actor_backend != "threads":
        raise SettingError(
            f"--actor_backend={config.actor_backend}: other processes do not know make_env; register an id instead"
        )
    gym.registry.pop(config.env_id, None)
    try:
        gym.register(config.env_id, make_env)
    except gym.error.Error as error:
        raise SettingError(f"--env_id={config.env_id}: cannot be a name for make_env ({error})") from None
