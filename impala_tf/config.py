"""Config holds all settings of a run. Each is declared once, in a group of impala_tf/settings/."""

import dataclasses
import types
from typing import Any

from impala_tf.settings.acting import ActingSettings
from impala_tf.settings.algorithm import AlgorithmSettings
from impala_tf.settings.contradictions import check_contradictions
from impala_tf.settings.environment import EnvironmentSettings
from impala_tf.settings.evaluation import EvaluationSettings
from impala_tf.settings.experience import ExperienceSettings
from impala_tf.settings.exploration import ExplorationSettings
from impala_tf.settings.learners import LearnerSettings
from impala_tf.settings.learning import LEARNING_RATE_SETTINGS, LearningSettings, learning_rate_factor
from impala_tf.settings.network import NetworkSettings
from impala_tf.settings.record import RecordSettings
from impala_tf.settings.removed import REMOVED
from impala_tf.settings.replay import ReplaySettings
from impala_tf.settings.run import RunSettings
from impala_tf.settings.setting import ENVIRONMENT, NETWORK, SettingError, as_text, checked, is_value
from impala_tf.settings.spaces import SpaceSettings
from impala_tf.settings.transfer import TransferSettings

__all__ = [
    "GROUPS",
    "Config",
    "SettingError",
    "damaged_lines",
    "differences",
    "environment_settings",
    "fields",
    "learning_rate_change",
    "to_flag_lines",
]

# These say where and what, not how, or whom the user trusts, so that a flag file leaves them out.
_NOT_IN_FLAG_FILES = ("logdir", "mode", "trust_modules", "learner_hosts", "learner_index")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(
    RunSettings,
    EnvironmentSettings,
    ActingSettings,
    ExperienceSettings,
    ReplaySettings,
    SpaceSettings,
    NetworkSettings,
    TransferSettings,
    AlgorithmSettings,
    ExplorationSettings,
    LearningSettings,
    LearnerSettings,
    RecordSettings,
    EvaluationSettings,
):
    """Holds the settings of a run. The defaults solve CartPole-v1 in seconds on two cores.

    Raises SettingError when a value has the wrong type or is out of bounds, or two settings contradict each other.
    """

    def __post_init__(self) -> None:
        for field in fields():
            # The class is frozen for everybody else; here a value gets its own type.
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))
        check_contradictions(self)


GROUPS = Config.__bases__  # The settings classes, in the order in which flag files and --help show them.


def fields() -> tuple[dataclasses.Field, ...]:
    """Returns every setting, group by group."""
    return tuple(field for group in GROUPS for field in dataclasses.fields(group))


def environment_settings(config: Config) -> dict[str, Any]:
    """Returns the settings that define the environment, by name."""
    return {field.name: getattr(config, field.name) for field in fields() if ENVIRONMENT in field.metadata["roles"]}


def to_flag_lines(config: Config) -> list[str]:
    """Writes the settings as lines of a flag file."""
    return [
        f"--{field.name}={as_text(getattr(config, field.name))}"
        for field in fields()
        if field.name not in _NOT_IN_FLAG_FILES
    ]


def differences(config: Config, flag_lines: list[str], network: bool) -> list[str]:
    """Lists the settings in which a saved flag file and `config` differ, as "--flag=saved (given: value)".

    network: True compares the settings that a checkpoint depends on, False the others.
    """
    saved = _saved_values(flag_lines)
    found = []
    for field in fields():
        here = as_text(getattr(config, field.name))
        if (NETWORK in field.metadata["roles"]) == network and saved.get(field.name, here) != here:
            found.append(f"--{field.name}={saved[field.name]} (given: {here})")
    return found


def damaged_lines(flag_lines: list[str]) -> list[int]:
    """Returns the indices of lines of a saved flag file that are no setting, or no value that a network can have."""
    known = {field.name: field for field in fields()}

    def is_setting(line: str) -> bool:
        name, equals, text = line.strip()[2:].partition("=")
        if not line.startswith("--") or not equals or name not in known:
            return line.startswith("--") and name in REMOVED
        return NETWORK not in known[name].metadata["roles"] or is_value(known[name], text)

    return [index for index, line in enumerate(flag_lines) if not is_setting(line)]


def learning_rate_change(config: Config, flag_lines: list[str], environment_frames: int) -> str:
    """Says what other settings do to the learning rate of a run that goes on, in the middle of the rate's schedule.

    flag_lines: lines of the run's saved flag file.
    environment_frames: frames that the run has learned from.

    Returns a clause for the message, or "" when the learning rate stays as it was.
    """
    saved = _saved_values(flag_lines)
    after = config.learning_rate * learning_rate_factor(config, environment_frames)
    try:
        here = {name: getattr(config, name) for name in LEARNING_RATE_SETTINGS}
        then = types.SimpleNamespace(**{name: type(value)(saved.get(name, value)) for name, value in here.items()})
        before = then.learning_rate * learning_rate_factor(then, environment_frames)
    except (ValueError, ZeroDivisionError):  # Somebody has edited the file.
        return ""
    if before == after:
        return ""
    return f"the learning rate at {environment_frames:,} frames is {after:.4g} instead of {before:.4g}"


def _saved_values(flag_lines: list[str]) -> dict[str, str]:
    return dict(line[2:].strip().split("=", 1) for line in flag_lines if line.startswith("--") and "=" in line)
