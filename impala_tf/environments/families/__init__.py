"""Has a file for each library of environments, with what is special about its ids."""

from impala_tf.config import Config, SettingError
from impala_tf.environments.families.atari import Atari
from impala_tf.environments.families.dmlab import DMLab
from impala_tf.environments.families.family import Family
from impala_tf.environments.families.minatar import MinAtar
from impala_tf.environments.families.minigrid import MiniGrid

FAMILIES: tuple[Family, ...] = (Atari(), DMLab(), MinAtar(), MiniGrid())
_ANY_OTHER = Family()


def family_of(config: Config) -> Family:
    """Returns the family of --env_id, a single id."""
    return next((family for family in FAMILIES if family.owns(config.env_id)), _ANY_OTHER)


def check_settings_are_heeded(config: Config) -> None:
    """Raises SettingError for a setting of one family that would do nothing with --env_id, a single id."""
    defaults = Config()
    for family in FAMILIES:
        for name, needed in family.unheeded_settings(config).items():
            value = getattr(config, name)
            if value != getattr(defaults, name):
                text = str(value).lower() if isinstance(value, bool) else value
                raise SettingError(f"--{name}={text}: does nothing without {needed}; given: {config.env_id}")
