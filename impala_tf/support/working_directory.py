"""Keeps Python from importing what happens to lie in the working directory.

`python -m` puts that directory before all others, so that a file which somebody else has left there could take the
place of a package. A module of it is imported when the user names the module.

This is imported before anything else, so it imports only what Python itself has imported by then.
"""

import os
import sys

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class _Left:
    """This stands in sys.meta_path and remembers the directory that was taken off sys.path. It finds no module.

    is_clone: whether the package itself lies in the directory, which then is at the end of sys.path.
    """

    def __init__(self, directory: str, is_clone: bool):
        self.directory = directory
        self.is_clone = is_clone

    def find_spec(self, fullname, path, target=None):
        return None


def leave() -> None:
    """Takes the working directory off sys.path, if `python -m` has put it there. Calling it again does nothing.

    Where the package itself lies in it, as in a clone that is not installed, it goes to the end instead.
    """
    try:
        here = os.getcwd()
    except OSError:  # Somebody has removed it.
        return
    if getattr(sys.flags, "safe_path", False) or _finders() or sys.path[:1] not in ([here], [""]):
        return
    del sys.path[0]
    is_clone = os.path.realpath(here) == os.path.realpath(os.path.dirname(_PACKAGE))
    if is_clone:
        sys.path.append(here)
    sys.meta_path.append(_Left(here, is_clone))  # type: ignore[arg-type]


def left() -> list[str]:
    """Returns the directory that was taken off sys.path; none if it is there."""
    return [finder.directory for finder in _finders() if finder.directory not in sys.path]


def find_named(module: str) -> None:
    """Puts the directory back where it was if a module that the user has named lies there and nowhere else.

    It stays there, because the module may import others that lie beside it, now or later. A clone's own modules are
    taken before others of the same name.
    """
    import importlib.machinery
    import importlib.util

    name = module.partition(".")[0]
    for finder in _finders():
        is_here = importlib.machinery.PathFinder.find_spec(name, [finder.directory]) is not None
        if name in sys.modules or sys.path[0] == finder.directory or not is_here:
            continue
        if finder.is_clone or importlib.util.find_spec(name) is None:
            sys.path.insert(0, finder.directory)


def _finders() -> list[_Left]:
    return [finder for finder in sys.meta_path if isinstance(finder, _Left)]
