"""Does what all mains need: flags from the settings, flag files, --help, errors in one line with exit code 2."""

import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from impala_tf import config as config_lib
from impala_tf.config import Config, SettingError
from impala_tf.settings.removed import REMOVED
from impala_tf.settings.setting import as_text
from impala_tf.support import flag_files, help_text, named_by_files, process
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.support.messages import one_line, warn
from impala_tf.support.others import ending_despite_threads
from impala_tf.support.own_code import trusted_modules
from impala_tf.support.threads import RunError

RUN_ERROR = 1
USAGE_ERROR = 2
ENVIRONMENT_ERROR = 1
ABOUT_FLAG_FILES = (
    "--flagfile=FILE reads flags from a file with one --name=value a line; flags on the command line win over those of "
    "files, wherever they stand."
)


def define_config_flags() -> None:
    """Defines a flag for every field of `Config`, and for every flag of an earlier version."""
    for field in config_lib.fields():
        _define(field.name, field.default, help_text.explanation(field))
    for name, removed in REMOVED.items():
        _define(name, removed.default, f"This flag does nothing any more: {removed.why}.")


def define_flags(group: type) -> None:
    """Defines a flag for every field of a settings class that is no part of `Config`."""
    for field in dataclasses.fields(group):
        _define(field.name, field.default, help_text.explanation(field))


def _define(name: str, default: Any, text: str) -> None:
    if isinstance(default, bool):
        flags.DEFINE_boolean(name, default, text)
    elif isinstance(default, int):
        flags.DEFINE_integer(name, default, text)
    elif isinstance(default, float):
        flags.DEFINE_float(name, default, text)
    elif isinstance(default, tuple):
        flags.DEFINE_list(name, [str(item) for item in default], text)
    else:
        # This defines strings with choices, too. Config checks them, also for a program that uses no flags.
        flags.DEFINE_string(name, default, text)


def config_from_flags() -> Config:
    """Makes a Config of the flags' values. Says in one line which of them do nothing any more.

    Raises SettingError when a value is wrong.
    """
    for name, removed in REMOVED.items():
        value = flags.FLAGS[name].value
        if value != removed.default:
            warn(f"--{name}={as_text(value)}: does nothing any more: {removed.why}")
    return Config(**_values(config_lib.fields()))


def from_flags(group: type) -> Any:
    """Makes a settings class, which `define_flags` got, of the flags' values. Raises SettingError."""
    return group(**_values(dataclasses.fields(group)))


def _values(fields: Iterable[dataclasses.Field]) -> dict[str, Any]:
    """Returns the values of the flags with the fields' names. Raises SettingError where a list is not of numbers."""
    return {
        field.name: _as_ints(field.name) if isinstance(field.default, tuple) else getattr(flags.FLAGS, field.name)
        for field in fields
    }


def _as_ints(name: str) -> tuple[int, ...]:
    given = getattr(flags.FLAGS, name)
    try:
        return tuple(int(item) for item in given)
    except ValueError:
        raise SettingError(f"--{name}={','.join(given)}: must be whole numbers with commas between them") from None


def run_main(
    main: Callable[[], None],
    usage: str | None,
    groups: Sequence[type] = (),
    saved_arguments: Callable[[str], list[flag_files.Argument]] | None = None,
) -> None:
    """Parses the flags and calls main. A user's mistake ends with one line on stderr and exit code 2.

    An environment that fails ends it with one line and exit code 1, with --debug by the exception itself.

    usage: text that --help shows above the flags.
    groups: settings classes whose flags --help shows, beside those that the main itself defines.
    saved_arguments: function that returns the flags of the run in a --logdir, which count where no other is given.
    """
    process.begin()

    flags.DEFINE_boolean("debug", False, "Show the whole traceback of an environment's error.", allow_override=True)

    def parse_or_help(argv: Sequence[str]) -> list[str]:
        # absl has defined help flags of its own, which show its flags too and end with exit code 1.
        for name, short_name, everything in (("help", "?", False), ("helpshort", "h", False), ("helpfull", None, True)):
            text_of = functools.partial(_help, usage or "", groups, everything)
            flags.DEFINE_flag(_HelpFlag(name, short_name, text_of))
        return parse(argv, saved_arguments)

    def guarded(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # TensorFlow's Python side logs through absl.
        if len(argv) > 1:
            _fail(f"{argv[1]}: not a flag; flags are given as --name=value")
        try:
            main()
        except SettingError as error:
            _fail(str(error))
        except EnvironmentFailure as failure:
            if flags.FLAGS.debug:
                raise
            warn(str(failure))
            sys.exit(ENVIRONMENT_ERROR)
        except RunError as error:
            warn(str(error))
            sys.exit(RUN_ERROR)

    with ending_despite_threads():
        app.run(guarded, flags_parser=parse_or_help)


def parse(argv: Sequence[str], saved_arguments: Callable[[str], list[flag_files.Argument]] | None = None) -> list[str]:
    """Sets absl's flags from the arguments after argv[0] and from flag files. Returns argv[0] and all others.

    saved_arguments: see `run_main`; a test of the run has its own flags only.

    Ends the program with one line and exit code 2 when a flag or a flag file is wrong.
    """
    arguments: list[flag_files.Argument] = []
    try:
        arguments = flag_files.expand(argv[1:], _needs_value)
        if saved_arguments and _given(arguments, "mode") != "test":
            arguments = _usable(saved_arguments(_given(arguments, "logdir"))) + arguments
        left = flags.FLAGS([argv[0], *(argument.text for argument in arguments)])
        if named_by_files.TRUST in flags.FLAGS:
            named_by_files.check(arguments, trusted_modules(str(flags.FLAGS[named_by_files.TRUST].value)))
        return left
    except (flags.Error, ValueError) as error:  # absl raises ValueError for --noflag=value.
        _fail(_explain(error, arguments))


def _given(arguments: Sequence[flag_files.Argument], name: str) -> str:
    """Returns the value of a flag, as it is given last; an empty one if it is not given."""
    found = ""
    for index, argument in enumerate(arguments):
        if argument.name == name:
            following = arguments[index + 1].text if index + 1 < len(arguments) else ""
            found = argument.text.partition("=")[2] if "=" in argument.text else following
    return found


def _usable(saved: list[flag_files.Argument]) -> list[flag_files.Argument]:
    """Returns the arguments that set a setting of this version; says in one line that there are others."""
    known = {field.name for field in config_lib.fields()} | set(REMOVED)

    def is_right(argument: flag_files.Argument) -> bool:
        if not argument.text.startswith("--") or "=" not in argument.text or argument.name not in known:
            return False
        try:
            flags.FLAGS[argument.name].parser.parse(argument.text.partition("=")[2])
        except ValueError:
            return False
        return True

    wrong = [argument for argument in saved if not is_right(argument) and not argument.text.startswith("#")]
    if wrong:
        warn(f"{wrong[0].place}: {wrong[0].text[:60]}: no flag of this version; {len(wrong)} such lines are not used")
    return [argument for argument in saved if is_right(argument)]


def _needs_value(name: str) -> bool:
    return name in flags.FLAGS and not flags.FLAGS[name].boolean


def _fail(message: str) -> NoReturn:
    warn(message)
    sys.exit(USAGE_ERROR)


def _explain(error: Exception, arguments: Sequence[flag_files.Argument]) -> str:
    """Says the error in one line, which begins with the place in a flag file if the error is in one."""
    message = one_line(error)
    for argument in arguments:
        unknown = isinstance(error, flags.UnrecognizedFlagError) and argument.name == error.flagname
        if argument.place and (unknown or message.startswith(f"flag {argument.text}:")):
            return f"{argument.place}: {message}"
    return message


class _HelpFlag(flags.BooleanFlag):
    """Prints a text and ends the program with exit code 0, as soon as it is parsed."""

    def __init__(self, name: str, short_name: str | None, text_of: Callable[[], str]):
        super().__init__(name, False, "Show help.", short_name=short_name, allow_override=True)
        self._text_of = text_of

    def parse(self, argument: Any) -> None:
        super().parse(argument)
        if self.value:
            print(self._text_of(), flush=True)
            sys.exit(0)


def _help(usage: str, groups: Sequence[type], everything: bool) -> str:
    """Writes the text of --help, or with `everything` that of --helpfull."""
    own = [
        help_text.Entry(f"--{flag.name}={_default_of(flag)}", flag.help)
        for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    ]
    sections = [help_text.Section("Flags of this command", own)] if own else []
    sections += help_text.all_settings(groups) if everything else help_text.common_settings(groups)
    more = " --helpfull shows every flag, with units and sources." if groups and not everything else ""
    footer = f"{ABOUT_FLAG_FILES} --debug shows the whole traceback of an environment's error.{more}"
    return help_text.page(usage, sections, in_columns=not everything, footer=footer)


def _default_of(flag: flags.Flag) -> str:
    """Writes a flag's default; a flag without one has an empty text."""
    if flag.default is None:
        return ""
    return as_text(tuple(flag.default) if isinstance(flag.default, list) else flag.default)
