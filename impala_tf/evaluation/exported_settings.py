"""Reads the environment of an export's training from its impala_tf.json, which a stranger may have written.

The file is data: only the settings of the environment are taken, each by its type, and no module that it names is
imported unless the user has named that module.
"""

import json
import pathlib
from collections.abc import Collection
from typing import Any

from impala_tf.config import Config, SettingError, environment_settings
from impala_tf.records.logdir import INFO_FILE
from impala_tf.support.messages import one_line

ENVIRONMENT_SETTINGS = tuple(environment_settings(Config()))


def modules_of(env_id: str) -> frozenset[str]:
    """Returns the modules that an --env_id imports: `module` of each `module:id` in it."""
    return frozenset(item.rpartition(":")[0] for item in env_id.split(",") if ":" in item)


def read_info(saved_model: pathlib.Path) -> dict[str, Any]:
    """Returns the export's impala_tf.json. Raises SettingError when it cannot be read."""
    try:
        info = json.loads((saved_model / INFO_FILE).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(saved_model, one_line(error)[:200]) from None
    if not isinstance(info, dict):
        raise _wrong(saved_model, "it is not an object")
    return info


def observation_inputs(saved_model: pathlib.Path) -> list[str]:
    """Returns the names of the observation's parts in the export's signature, in the order of tf.nest.flatten."""
    names = read_info(saved_model).get("observation")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _wrong(saved_model, "observation must be a list of names")
    return names


def training_environment(saved_model: pathlib.Path) -> Config:
    """Returns the settings of the environment that the agent was trained in; all other settings have their defaults.

    Raises SettingError when a key is no setting of the environment, or a value has another type or is out of bounds.
    """
    settings = read_info(saved_model).get("environment")
    if not isinstance(settings, dict):
        raise _wrong(saved_model, "environment must be an object")
    for name, value in settings.items():
        if name not in ENVIRONMENT_SETTINGS:
            raise _wrong(saved_model, f"{name[:50]!r} is no setting of an environment")
        if isinstance(value, str) and not value.isprintable():  # Such text could control the terminal.
            raise _wrong(saved_model, f"{name} must be printable text")
    try:
        return Config(**settings)  # Config checks the types, too.
    except SettingError as error:
        raise _wrong(saved_model, str(error)) from None


def check_modules(saved_model: pathlib.Path, env_id: str, trusted: Collection[str]) -> None:
    """Raises SettingError when an environment that would be played is in a module that the user has not named.

    trusted: modules that the user has named.
    """
    missing = sorted(modules_of(env_id) - set(trusted))
    if missing:
        raise SettingError(
            f"--saved_model={saved_model}: its environment runs code of the module {', '.join(missing)}; if you trust "
            f"that, name it: --env_id={env_id}"
        )


def _wrong(saved_model: pathlib.Path, what: str) -> SettingError:
    return SettingError(f"--saved_model={saved_model}: cannot be loaded ({INFO_FILE}: {what})")
