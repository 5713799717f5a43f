"""Imports the user's own modules, which only he names: on the command line or in Python, never by a file."""

import importlib.machinery
import sys
from collections.abc import Callable

from impala_tf.config import SettingError
from impala_tf.support import working_directory
from impala_tf.support.messages import with_place
from impala_tf.support.startup import import_own


def modules_in_ids(env_id: str) -> frozenset[str]:
    """Returns the modules that an --env_id imports: `module` of each `module:id` in it."""
    return frozenset(item.rpartition(":")[0] for item in env_id.split(",") if ":" in item)


def modules_in(flag: str, value: str) -> frozenset[str]:
    """Returns the modules that a flag imports: --env_id, or one that takes module:function."""
    if flag == "env_id":
        return modules_in_ids(value)
    return frozenset([value.partition(":")[0]]) if ":" in value else frozenset()


def trusted_modules(trust_modules: str) -> frozenset[str]:
    """Returns the modules that --trust_modules names."""
    return frozenset(name for name in trust_modules.split(",") if name)


def place_of(module: str) -> str:
    """Says for a message which file a module would come from. Nothing is imported, so of a.b it is that of a."""
    name = module.partition(".")[0]
    paths = [*sys.path, *working_directory.left()]
    try:
        spec = importlib.machinery.PathFinder.find_spec(name, paths)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return "built in" if name in sys.builtin_module_names else "not installed"
    return ascii(spec.origin or next(iter(spec.submodule_search_locations or ()), "unknown"))[1:-1]


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
