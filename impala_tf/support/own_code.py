"""Finds a function of the user that a flag names as module:function."""

from collections.abc import Callable

from impala_tf.config import SettingError
from impala_tf.support.messages import with_place
from impala_tf.support.startup import import_own


def own_function(flag: str, name: str) -> Callable:
    """Returns the function that --flag=module:function names. Raises SettingError when there is no such function."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_own(module), function)
    except Exception as error:
        raise SettingError(f"--{flag}={name}: cannot be imported ({with_place(error)})") from error
    if not callable(found):
        raise SettingError(f"--{flag}={name}: is no function")
    return found
