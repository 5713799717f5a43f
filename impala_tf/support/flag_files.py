"""Reads flag files: --flagfile=FILE stands for the lines of the file, and each knows its place for messages.

absl reads flag files too, but it puts their lines where --flagfile stands, so that a file that is named last silently
wins over the command line, and it looks for a file that another one names in the working directory only.
"""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from impala_tf.config import SettingError

_COMMENTS = ("#", "//")


class Argument(NamedTuple):
    """This is an argument of the command line, or a line of a flag file.

    place: "FILE line N" if it comes from a flag file, else "".
    """

    text: str
    place: str = ""

    @property
    def name(self) -> str:
        """Returns the name of the flag, if the argument is one."""
        return self.text.lstrip("-").partition("=")[0]


def expand(arguments: Sequence[str], needs_value: Callable[[str], bool]) -> list[Argument]:
    """Replaces --flagfile=FILE and --flagfile FILE by the lines of the files.

    The lines stand before all other arguments, and a later flag wins, so flags on the command line win over flag files
    wherever they stand. Between two flag files the later one wins.

    needs_value: function that says whether the flag of a name takes the next argument as its value when it has no =.

    Raises SettingError when a file cannot be read or has a line that is not a flag.
    """
    lines: list[Argument] = []
    others: list[Argument] = []
    rest = list(arguments)
    while rest:
        argument = Argument(rest.pop(0))
        if not argument.name or not argument.text.startswith("-"):  # absl looks for no flags from here on.
            return [*lines, *others, argument, *map(Argument, rest)]
        if argument.name == "flagfile":
            lines += _read(_path_of(argument, rest), argument)
        else:
            others.append(argument)
            if "=" not in argument.text and needs_value(argument.name) and rest:
                others.append(Argument(rest.pop(0)))
    return lines + others


def _path_of(argument: Argument, rest: list[str]) -> str:
    """Returns the path in --flagfile=PATH, or in the argument after --flagfile, which it takes off `rest`."""
    _, equals, path = argument.text.partition("=")
    if not equals and not rest:
        raise SettingError("--flagfile: give the path of a flag file")
    return path if equals else rest.pop(0)


def _read(name: str, argument: Argument, files: tuple[pathlib.Path, ...] = ()) -> list[Argument]:
    """Returns the lines of a flag file and of those that it names, in their order.

    name: the path as it was given; an empty one stands for no file, as in absl.
    argument: the argument that names the file.
    files: the files that are being read, each of which names the next.
    """
    if not name.strip():
        return []
    path = _find(name.strip(), files)
    prefix = f"{argument.place}: " if argument.place else ""
    if path.resolve() in [file.resolve() for file in files]:
        raise SettingError(f"{prefix}--flagfile={name}: this file names itself, directly or through others")
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        where = f", neither beside {files[-1]} nor in the working directory" if files and not path.exists() else ""
        raise SettingError(f"{prefix}--flagfile={name}: cannot be read ({reason}{where})") from None
    found: list[Argument] = []
    for number, line in enumerate(text.splitlines(), 1):
        inner = Argument(line.strip(), f"{path} line {number}")
        if not inner.text or inner.text.startswith(_COMMENTS):
            continue
        if not inner.text.startswith("-") or not inner.name:
            raise SettingError(f"{inner.place}: {inner.text}: not a flag; flags are given as --name=value")
        if inner.name == "flagfile":
            found += _read(inner.text.partition("=")[2], inner, (*files, path))
        else:
            found.append(inner)
    return found


def _find(name: str, files: tuple[pathlib.Path, ...]) -> pathlib.Path:
    """Returns the path beside the file that names it if there is such a file, else that from the working directory."""
    path = pathlib.Path(name).expanduser()
    beside = files[-1].parent / path if files else path
    return beside if beside.exists() else path
