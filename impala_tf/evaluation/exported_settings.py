"""Reads the environment of an export's training, which a stranger may have written.

Only the settings of the environment are taken, each by its type, and no module that an environment needs is imported
unless the user has named that module.
"""

import pathlib
from collections.abc import Collection

from impala_tf.config import Config, SettingError, environment_settings
from impala_tf.records.exports import read_info, wrong
from impala_tf.support.own_code import modules_in_ids, place_of

ENVIRONMENT_SETTINGS = tuple(environment_settings(Config()))


def observation_inputs(saved_model: pathlib.Path) -> list[str]:
    """Returns the names of the observation's parts in the export's signature, in the order of tf.nest.flatten."""
    names = read_info(saved_model).observation
    if names is None:
        raise wrong(saved_model, "saved_model", "observation must be a list of names")
    return names


def training_environment(saved_model: pathlib.Path) -> Config:
    """Returns the settings of the environment that the agent was trained in; all other settings have their defaults.

    Raises SettingError when a key is no setting of the environment, or a value has another type or is out of bounds.
    """
    settings = read_info(saved_model).environment
    if settings is None:
        raise wrong(saved_model, "saved_model", "environment must be an object")
    for name, value in settings.items():
        if name not in ENVIRONMENT_SETTINGS:
            raise wrong(saved_model, "saved_model", f"{name[:50]!r} is no setting of an environment")
        if isinstance(value, str) and not value.isprintable():  # Such text could control the terminal.
            raise wrong(saved_model, "saved_model", f"{name} must be printable text")
    try:
        return Config(**settings)  # Config checks the types, too.
    except SettingError as error:
        raise wrong(saved_model, "saved_model", str(error)) from None


def check_modules(saved_model: pathlib.Path, env_id: str, trusted: Collection[str]) -> None:
    """Raises SettingError when an environment that would be played is in a module that the user has not named.

    trusted: modules that the user has named.
    """
    missing = sorted(modules_in_ids(env_id) - set(trusted))
    if missing:
        raise SettingError(
            f"--saved_model={saved_model}: its environment runs code of the module "
            f"{', '.join(f'{module} ({place_of(module)})' for module in missing)}; if you trust that, add "
            f"--trust_modules={','.join(missing)}"
        )
