"""Looks up ids in gymnasium, with help for those that are misspelled."""

import difflib

import gymnasium as gym

from impala_tf.config import Config, SettingError
from impala_tf.environments import suites
from impala_tf.environments.families import family_of
from impala_tf.support.messages import one_line, with_place
from impala_tf.support.startup import import_own


def registration_of(config: Config) -> gym.envs.registration.EnvSpec:
    """Returns gymnasium's entry for --env_id, a single id. Raises SettingError, with similar ids."""
    env_id = config.env_id
    # gymnasium alone would not import the module of a "module:id".
    module, _, name = env_id.rpartition(":")
    if module:
        _import_module_of(env_id, module)
    try:
        family_of(config).register(env_id)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        similar = _similar_ids(name)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "see gymnasium.pprint_registry()"
        own = "" if module else "; an id of your own needs its module: my_module:MyEnv-v0"
        raise SettingError(f"--env_id={env_id}: unknown environment ({one_line(error)}); {hint}{own}") from error


def _import_module_of(env_id: str, module: str) -> None:
    try:
        import_own(module)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and module.startswith(error.name or module)
        hint = f"; run where `import {module}` works" if missing else ""
        raise SettingError(f"--env_id={env_id}: {module} cannot be imported: {with_place(error)}{hint}") from error


def _similar_ids(name: str) -> list[str]:
    """Returns ids and suites that are spelled like the name, or like it but for upper and lower case."""
    names = sorted(gym.registry)
    similar = difflib.get_close_matches(name, names, n=3, cutoff=0.6) or suites.similar(name)
    lowered = {known.lower(): known for known in names}
    return similar or [lowered[found] for found in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.4)]
