"""Refuses flags in files that choose which code runs: the user gives these on the command line himself.

A flag file, and the settings.flags of a log directory, may come from somebody else.
"""

import pathlib
import shlex
from collections.abc import Collection, Sequence

from impala_tf.config import Config, SettingError, fields
from impala_tf.settings.setting import OWN
from impala_tf.support.flag_files import Argument
from impala_tf.support.own_code import modules_in, place_of

# These may name a module.
NAMING = ("env_id", *(field.name for field in fields() if OWN in field.metadata["choices"]))
# A teacher is a program of TensorFlow operations. Whoever answers at Ray's address can run any program.
RUNNING = ("teacher", "ray_address")
TRUST = "trust_modules"


def check(arguments: Sequence[Argument], trusted: Collection[str]) -> None:
    """Raises SettingError when a file's line counts that names a module, a teacher or Ray's address.

    arguments: arguments in the order in which they count; of one flag the last one does.
    trusted: modules that --trust_modules names.
    """
    if any(argument.name == TRUST and argument.place for argument in arguments):
        raise SettingError(f"--{TRUST}: a file cannot say whom you trust; give it on the command line")
    for name, argument in {argument.name: argument for argument in arguments if argument.place}.items():
        value = argument.text.partition("=")[2]
        if any(later.name == name and not later.place for later in arguments):
            continue
        missing = sorted(modules_in(name, value) - set(trusted)) if name in NAMING else []
        if missing:
            raise SettingError(
                f"{argument.place}: --{name}={value}: runs code of the module "
                f"{', '.join(f'{module} ({place_of(module)})' for module in missing)}, which only you can allow; if "
                f"you trust that, add --{TRUST}={','.join(missing)}"
            )
        if name in RUNNING and value:
            raise SettingError(
                f"{argument.place}: --{name}={value}: can run code, which only you can allow; if you trust that, give "
                f"--{name}={value} on the command line"
            )


def go_on(config: Config, logdir: pathlib.Path, environment_frames: int) -> str:
    """Says where a run stopped and with which command it goes on: its settings are in the log directory."""
    modules = {module for name in NAMING for module in modules_in(name, getattr(config, name))}
    others = [f"--{name}={getattr(config, name)}" for name in RUNNING if getattr(config, name)]
    if config.learner_hosts and config.num_learners == 1:  # Somebody has started each learner.
        others += [f"--learner_hosts={config.learner_hosts}", f"--learner_index={config.learner_index}"]
    trust = [f"--{TRUST}={','.join(sorted(modules))}"] if modules else []
    command = shlex.join(["python", "-m", "impala_tf.experiment", f"--logdir={logdir}", *trust, *others])
    return (
        f"stopped at {environment_frames:,} of {config.total_environment_frames:,} environment frames; "
        f"this goes on: {command}"
    )
