"""One environment by its id, from gymnasium and what registers ids with it."""

import contextlib
import difflib
import functools
import warnings
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments import atari, dmlab, suites
from impala_tf.environments.adapters import ActionRepeat, MaskedObservation
from impala_tf.spaces import action_spaces, observation_spaces
from impala_tf.support.messages import one_line, with_place
from impala_tf.support.startup import import_own


def make_one(config: Config, settings: dict) -> gym.Env:
    """settings: of gymnasium.make."""
    spec = gym_spec(config)  # In a process of its own, the module of a module:id is not imported yet.
    if atari.is_ale(config):
        return atari.make_one(spec.id, config, settings)
    if dmlab.is_dmlab(config):
        return dmlab.make_one(spec.id, config, settings)
    with warnings.catch_warnings():
        if spec.id.startswith("MinAtar/"):  # gymnasium takes v0, all six actions, for an old form of v1, those in use.
            warnings.simplefilter("ignore")
        env = gym.make(spec.id, max_episode_steps=config.max_episode_frames or None, **settings)
    if masks_actions(spec.id):
        env = MaskedObservation(env)
    return ActionRepeat(env, config.num_action_repeats) if config.num_action_repeats > 1 else env


@functools.lru_cache(maxsize=64)  # Some take long to reset.
def try_one(config: Config) -> tuple[gym.Space, gym.Space]:
    """Observation and action space of an environment that was made, reset and stepped once.

    Raises SettingError when it cannot be, or emits what its space does not say; values are not looked at.
    """
    whose = f"--env_id={config.env_id}"
    try:
        env = make_one(config, {})
    except SettingError:
        raise
    except Exception as error:
        raise SettingError(f"{whose}: gymnasium could not make it: {with_place(error)}") from error
    space = env.observation_space
    try:
        if observation_spaces.unsupported(space) is None and action_spaces.is_supported(env.action_space):
            _check_fit(whose, "reset", space, env.reset(seed=0), ("observation", "info"))
            if not observation_spaces.has_mask(space):  # Else a sample may be an impossible action.
                env.action_space.seed(0)
                emitted = env.step(env.action_space.sample())
                _check_fit(whose, "step", space, emitted, ("observation", "reward", "terminated", "truncated", "info"))
    except SettingError:
        raise
    except Exception as error:
        raise SettingError(f"{whose}: it was made, but not reset and stepped: {with_place(error)}") from error
    finally:
        env.close()
    return space, env.action_space


def _check_fit(whose: str, method: str, space: gym.Space, emitted: Any, names: tuple[str, ...]) -> None:
    is_sequence = isinstance(emitted, tuple | list)
    if not is_sequence or len(emitted) != len(names):
        given = f"{len(emitted)} values" if is_sequence else f"a {type(emitted).__name__}"
        raise SettingError(f"{whose}: its {method} returned {given}; must be {', '.join(names)}")
    if "reward" in names and np.ndim(emitted[1]):
        raise SettingError(
            f"{whose}: the reward of its {method} has the shape {np.shape(emitted[1])}; must be one number"
        )
    words = observation_spaces.misfit(space, emitted[0])
    if words:
        raise SettingError(f"{whose}: the observation of its {method} is not of its observation space: {words}")


def masks_actions(spec_id: str) -> bool:
    """Whether the environment says in `info` which actions are possible; its own observation may say it already."""
    try:
        return _masks_actions(spec_id)
    except Exception:  # `try_one` says what is wrong with it.
        return False


@functools.lru_cache(maxsize=64)  # Asked for every environment.
def _masks_actions(spec_id: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = gym.make(spec_id)
        space = env.observation_space
        masks = action_spaces.mask_size(env.action_space) > 0 and not observation_spaces.has_mask(space)
        with contextlib.closing(env):
            if not masks or observation_spaces.unsupported(space) is not None:
                return False
            return env.reset(seed=0)[1].get(observation_spaces.ACTION_MASK) is not None


def forget() -> None:
    """An id may mean another environment now."""
    try_one.cache_clear()
    _masks_actions.cache_clear()


def gym_spec(config: Config) -> gym.envs.registration.EnvSpec:
    """What gymnasium knows of --env_id. Raises SettingError with ids that are spelled like it."""
    env_id = config.env_id
    # gym.spec alone would not import the module of a "module:id".
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            import_own(module)
        except Exception as error:
            missing = isinstance(error, ModuleNotFoundError) and module.startswith(error.name or module)
            hint = f"; run where `import {module}` works" if missing else ""
            raise SettingError(f"--env_id={env_id}: {module} cannot be imported: {with_place(error)}{hint}") from error
    try:
        if env_id.startswith("ALE/"):
            atari.register(env_id)
        if env_id.startswith("MinAtar/"):
            _register_minatar(env_id)
        if env_id.startswith(("MiniGrid-", "BabyAI-")) and env_id not in gym.registry:
            _register_minigrid(env_id)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        names = sorted(gym.registry)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        lowered = {known.lower(): known for known in names}
        close = close or suites.similar(name)
        close = close or [lowered[found] for found in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.4)]
        hint = f"did you mean {' or '.join(close)}?" if close else "see gymnasium.pprint_registry()"
        own = "" if module else "; an id of your own needs its module: my_module:MyEnv-v0"
        raise SettingError(f"--env_id={env_id}: unknown environment ({one_line(error)}); {hint}{own}") from error


def _register_minigrid(env_id: str) -> None:
    try:
        import minigrid  # noqa: F401 (registers them)
    except ImportError:
        raise SettingError(f"--env_id={env_id}: MiniGrid is not installed: pip install 'impala_tf[minigrid]'") from None


def _register_minatar(env_id: str) -> None:
    try:
        import minatar.gym
    except ImportError:
        raise SettingError(f"--env_id={env_id}: MinAtar is not installed: pip install 'impala_tf[minatar]'") from None
    if "MinAtar/Breakout-v0" not in gym.registry:
        minatar.gym.register_envs()
