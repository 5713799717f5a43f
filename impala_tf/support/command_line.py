"""What the mains share: flags from `Config`, errors in one line with exit code 2."""

import contextlib
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from impala_tf import config as config_lib
from impala_tf.config import Config, SettingError
from impala_tf.support.messages import one_line, warn

USAGE_ERROR = 2


def define_config_flags() -> None:
    """Defines a flag for every field of `Config`."""
    for field in config_lib.fields():
        rule = field.metadata
        text = rule["help"] + "".join(f" [{key}: {rule[key]}]" for key in ("unit", "source") if rule[key])
        name: str = field.name
        default: Any = field.default
        if isinstance(default, bool):
            flags.DEFINE_boolean(name, default, text)
        elif isinstance(default, int):
            flags.DEFINE_integer(name, default, text)
        elif isinstance(default, float):
            flags.DEFINE_float(name, default, text)
        elif isinstance(default, tuple):
            flags.DEFINE_list(name, [str(item) for item in default], text)
        else:
            # Choices too: Config checks them, with the same message for a program that uses no flags.
            flags.DEFINE_string(name, default, text)


def config_from_flags() -> Config:
    """Raises SettingError when a value is wrong."""
    values = {field.name: getattr(flags.FLAGS, field.name) for field in config_lib.fields()}
    try:
        values["hidden_sizes"] = tuple(int(item) for item in values["hidden_sizes"])
    except ValueError:
        given = ",".join(values["hidden_sizes"])
        raise SettingError(f"--hidden_sizes={given}: must be whole numbers with commas between them") from None
    return Config(**values)


def run(main: Callable[[], None], usage: str | None) -> None:
    """Parses the flags and calls main. A user's mistake ends with one line on stderr and exit code 2.

    usage: what --help shows above the flags.
    """
    sys.modules["__main__"].__doc__ = usage

    def guarded(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # TensorFlow's Python side logs through absl.
        if len(argv) > 1:
            _fail(f"{argv[1]}: not a flag; flags are given as --name=value")
        try:
            main()
        except SettingError as error:
            _fail(str(error))

    app.run(guarded, flags_parser=_parse)


def _parse(argv: Sequence[str]) -> list[str]:
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        _fail(_explain(error, argv))
    except (OSError, UnicodeDecodeError) as error:
        _fail(f"a flag file cannot be read: {error}")


def _fail(message: str) -> NoReturn:
    warn(message)
    sys.exit(USAGE_ERROR)


def _explain(error: flags.Error, argv: Sequence[str]) -> str:
    """absl's message in one line, with the flag file and the line that it is about, if one is."""
    message = one_line(error)
    if isinstance(error, flags.UnrecognizedFlagError):
        for path in _flag_files(argv):
            with contextlib.suppress(OSError), open(os.path.expanduser(path)) as file:
                for number, line in enumerate(file, 1):
                    if line.strip().lstrip("-").split("=")[0] == error.flagname:
                        return f"{path} line {number}: {message}"
    return message


def _flag_files(argv: Sequence[str]) -> list[str]:
    """Given as --flagfile=PATH or --flagfile PATH."""
    together = [arg.split("=", 1)[1] for arg in argv if arg.lstrip("-").startswith("flagfile=")]
    apart = [path for arg, path in itertools.pairwise(argv) if arg.lstrip("-") == "flagfile"]
    return together + apart
