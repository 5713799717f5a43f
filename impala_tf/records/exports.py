"""Reads and writes impala_tf.json, which stands beside an export's model and says what it is.

A stranger may have written the file, and a disk may have damaged it, so it is data: its fields are known, each has a
type, and checksums of it and of the export's other files tell what is damaged. They do not tell who wrote it.
"""

import hashlib
import json
import math
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from impala_tf.config import SettingError
from impala_tf.records.files import restore_directory
from impala_tf.support.messages import one_line

MODEL = "saved_model.pb"
INFO_FILE = "impala_tf.json"  # It lies beside MODEL.
DIGEST = "sha256"  # The key of the checksum of all other fields.
# TensorFlow reads these files of an export, as far as there are any.
_READ = ("saved_model.*", "fingerprint.pb", "variables/**/*", "assets/**/*", "assets.extra/**/*")
_LONGEST_NAME = 50  # A message shows at most so many characters of a field's name.


class ExportInfo(NamedTuple):
    """This is what stands in an export's impala_tf.json. None stands for a field that it does not have.

    environment: values of the environment's settings, by name; nobody has checked these yet.
    observation: names of the observation's parts in the model's signature, in the order of tf.nest.flatten.
    weights: names PART/NAME of the weights and statistics; earlier versions wrote none.
    action_scale_init: the setting of that name.
    best: description of the best weights of a run, for people.
    files: checksums of the export's files, by their paths in it; earlier versions wrote none.
    """

    environment: dict[str, Any] | None = None
    observation: list[str] | None = None
    weights: list[str] | None = None
    action_scale_init: float | None = None
    best: dict[str, Any] | None = None
    files: dict[str, str] | None = None


class _Kind(NamedTuple):
    """A kind says which values of a field are right, and how a message calls them."""

    holds: Callable[[Any], bool]
    words: str


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()  # Other text could control the terminal.


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_checksum(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _are_checksums(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(name) and _is_checksum(item) for name, item in value.items())


def _is_best(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(item) if name == "score_is_of" else _is_number(item) for name, item in value.items()
    )


_NAMES = _Kind(lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of names")
_FIELDS = {
    "environment": _Kind(lambda value: isinstance(value, dict), "an object"),
    "observation": _NAMES,
    "weights": _NAMES,
    "action_scale_init": _Kind(lambda value: _is_number(value) and value > 0, "a number above 0"),
    "best": _Kind(_is_best, "an object of numbers"),
    "files": _Kind(_are_checksums, "an object of checksums"),
    DIGEST: _Kind(_is_checksum, "a checksum"),
}


def write_info(directory: pathlib.Path, fields: dict[str, Any]) -> None:
    """Writes the export's impala_tf.json, with checksums of it and of the files that are there already.

    fields: values of any fields of `ExportInfo` but `files`.
    """
    content = fields | dict(files={name: _file_digest(directory / name) for name in sorted(_files_in(directory))})
    text = json.dumps(content | {DIGEST: _digest(content)}, indent=2)
    (directory / INFO_FILE).write_text(f"{text}\n")


def read_info(directory: pathlib.Path, flag: str = "saved_model") -> ExportInfo:
    """Returns what the export's impala_tf.json says.

    flag: name of the flag that gave the directory, for messages.

    Raises SettingError when it cannot be read, its checksum is wrong, it has a field that does not belong there, or a
    value of another type.
    """
    try:
        content = json.loads((directory / INFO_FILE).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise wrong(directory, flag, one_line(error)[:200]) from None
    if not isinstance(content, dict):
        raise wrong(directory, flag, "it is not an object")
    for name, value in content.items():
        if name not in _FIELDS:
            raise wrong(directory, flag, f"{name[:_LONGEST_NAME]!r} is no field of it")
        if not _FIELDS[name].holds(value):
            raise wrong(directory, flag, f"{name} must be {_FIELDS[name].words}")
    digest = content.pop(DIGEST, None)
    if (digest is None) != ("files" not in content) or digest not in (None, _digest(content)):
        raise wrong(directory, flag, "its checksum is wrong, so it was damaged or changed")
    return ExportInfo(**content)


def check_export(directory: pathlib.Path, flag: str) -> ExportInfo:
    """Checks the export's files by their checksums, where it has any, and returns what it says of itself.

    Raises SettingError, naming the flag, when the directory holds no export of impala_tf, or another file than the
    export had.
    """
    if not directory.exists():
        restore_directory(directory)
    if not (directory / MODEL).is_file() or not (directory / INFO_FILE).is_file():
        raise SettingError(
            f"--{flag}: {directory} is not an export of impala_tf (needs {MODEL} and {INFO_FILE}); "
            "give the saved_model directory in a run's log directory"
        )
    info = read_info(directory, flag)
    found = _files_in(directory)
    if info.files is None:  # TensorFlow takes saved_model.cpb instead of saved_model.pb if there is one.
        strange = {name for name in found if name.startswith("saved_model.")} - {MODEL}
    else:
        strange = found - set(info.files)
        missing = sorted(set(info.files) - found)
        if missing:
            raise SettingError(f"--{flag}={directory}: cannot be loaded ({missing[0]} is missing)")
        for name, digest in info.files.items():
            if _file_digest(directory / name) != digest:
                raise SettingError(
                    f"--{flag}={directory}: cannot be loaded ({name} is damaged, or is another export's: its checksum "
                    "is wrong)"
                )
    if strange:
        raise SettingError(f"--{flag}={directory}: cannot be loaded ({sorted(strange)[0]!r} does not belong to it)")
    return info


def unchecked(directory: pathlib.Path, info: ExportInfo, flag: str) -> list[str]:
    """Returns a line for people when the export has no checksums, else nothing."""
    if info.files is not None:
        return []
    return [f"--{flag}={directory}: an earlier version wrote it, without checksums, so damage to it cannot be seen"]


def wrong(directory: pathlib.Path, flag: str, what: str) -> SettingError:
    """Returns the error that says what is wrong with the export's impala_tf.json."""
    return SettingError(f"--{flag}={directory}: cannot be loaded ({INFO_FILE}: {what})")


def _files_in(directory: pathlib.Path) -> set[str]:
    """Returns the paths in the export of all files that TensorFlow may read."""
    paths = {path for pattern in _READ for path in directory.glob(pattern) if not path.is_dir()}
    return {path.relative_to(directory).as_posix() for path in paths}


def _file_digest(path: pathlib.Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror})"  # It equals no checksum.


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
