"""Makes one environment by its id, and finds out its spaces."""

import functools
from typing import Any

import gymnasium as gym

from impala_tf.config import Config, SettingError
from impala_tf.environments import action_masks
from impala_tf.environments.emitted import Checks
from impala_tf.environments.families import family_of
from impala_tf.environments.gymnasium_ids import registration_of
from impala_tf.spaces import action_spaces, observation_spaces
from impala_tf.support.messages import with_place


def make_single(config: Config, settings: dict[str, Any]) -> gym.Env:
    """Makes one environment of --env_id, a single id.

    settings: further arguments of gymnasium.make.
    """
    # In a process of its own, the module of a module:id is not imported yet.
    return family_of(config).make(registration_of(config).id, config, settings)


@functools.lru_cache(maxsize=64)  # Some environments take long to reset.
def spaces_of_single(config: Config) -> tuple[gym.Space, gym.Space]:
    """Makes, resets and steps an environment once, and returns its observation space and its action space.

    Raises SettingError when that fails, or the environment emits what its space does not say; values are not checked.
    """
    prefix = f"--env_id={config.env_id}"
    try:
        env = make_single(config, {})
    except SettingError:
        raise
    except Exception as error:
        raise SettingError(f"{prefix}: gymnasium could not make it: {with_place(error)}") from error
    space = env.observation_space
    try:
        if observation_spaces.unsupported(space) is None and action_spaces.is_supported(env.action_space):
            _check_reset_and_step(config.env_id, env)
    except SettingError:
        raise
    except Exception as error:
        raise SettingError(f"{prefix}: it was made, but not reset and stepped: {with_place(error)}") from error
    finally:
        env.close()
    return space, env.action_space


def _check_reset_and_step(env_id: str, env: gym.Env) -> None:
    checks = Checks(env, env_id)
    checks.reset(env.reset(seed=0))
    if observation_spaces.has_mask(env.observation_space):  # A sample may be an impossible action.
        return
    env.action_space.seed(0)
    checks.step(env.step(env.action_space.sample()))


def clear_caches() -> None:
    """Drops what was cached, because an id may mean another environment now."""
    spaces_of_single.cache_clear()
    action_masks.clear_cache()
