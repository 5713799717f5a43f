"""Checks whether a run may use a log directory, and resumes from it."""

import contextlib
import datetime
import os
import pathlib
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator

from impala_tf.config import Config, SettingError, damaged_lines, differences, learning_rate_change, to_flag_lines
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.exports import MODEL, check_export
from impala_tf.records.files import restore_directory, write_text
from impala_tf.records.tables import TABLES
from impala_tf.support.flag_files import Argument

try:
    import fcntl
except ImportError:  # Windows has none, so there directories are not locked.
    fcntl = None  # type: ignore[assignment]

SETTINGS = "settings.flags"
SAVED_MODEL = "saved_model"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"
FIRST_BYTES = 1 << 16  # A directory must have room for so many when a run begins.
BEST_MODEL = "best_model"
FAILURE = "environment_failure.txt"  # The traceback of the environment that ended the run.
STACKS = "stacks.txt"  # The watchdog writes here what the threads were at when the run stood still.


class LogDir:
    """This log directory was checked before anything is written into it.

    path: path of the directory. checkpoints: path of its directory of checkpoints.
    checkpoint: (arrays, info) from which the run goes on; None means a new run.
    start: checkpoint or export that a new run takes weights from (--init_from); None means none.
    warn: function that gets one line for each damaged checkpoint that is passed over, and for changed settings.

    Raises SettingError when the directory cannot be written, fits another network, or has only damaged checkpoints,
    and when there are no weights at --init_from.
    """

    def __init__(self, config: Config, warn: Callable[[str], None]):
        self.path = pathlib.Path(config.logdir) if config.logdir else _new_directory(config.env_id)
        self._is_new = not self.path.exists()
        self.checkpoints = self.path / CHECKPOINTS
        self.checkpoint = None
        self._warn = warn
        self._has_said_strange = False
        self._found = found = Checkpoints(self.checkpoints, keep=config.keep_checkpoints)
        if found.paths():
            self._check_network(config)
            self.checkpoint = self._newest = found.load_newest(warn)
            if self.checkpoint is None:
                raise SettingError(
                    f"--logdir={self.path}: every checkpoint in it is damaged; "
                    f"move {self.checkpoints} away to start anew"
                )
            self._say_changes(config, int(self.checkpoint[0]["environment_frames"]), warn)
            if config.init_from:
                warn(f"--init_from is not used, since {self.path} has a checkpoint and goes on from it")
        self.start = find_start(config.init_from) if config.init_from and not self.checkpoint else None
        self._check_writable()

    def fall_back(self, why: str) -> bool:
        """Goes on from the checkpoint before the present one. Returns whether there is one.

        why: text that says what is wrong with the present one, for the reader.
        """
        if self._found.loaded is None or self.checkpoint is not self._newest:  # It is not one of this directory's.
            return False
        lines: list[str] = []
        path = self._found.loaded
        older = self._found.load_newest(lines.append, before=path)
        if older is None:
            return False
        for line in (f"{path} {why}; falling back to the checkpoint before it", *lines):
            self._warn(line)
        self.checkpoint = self._newest = older
        return True

    def _saved_settings(self) -> list[str]:
        """Returns the lines of the settings file that are settings, and says which are not."""
        settings = self.path / SETTINGS
        if not settings.exists():
            return []
        lines = settings.read_bytes().decode(errors="replace").splitlines()
        strange = damaged_lines(lines)
        if strange and not self._has_said_strange:
            self._has_said_strange = True
            numbers = ", ".join(str(i + 1) for i in strange)
            self._warn(f"{settings}: line {numbers} is no setting; it is not compared with those of this run")
        return [line for i, line in enumerate(lines) if i not in strange]

    def _check_network(self, config: Config) -> None:
        network = differences(config, self._saved_settings(), network=True)
        if network:
            raise SettingError(
                f"--logdir={self.path}: its checkpoint was written with other settings: {', '.join(network)}; "
                "give these or another directory"
            )

    def _say_changes(self, config: Config, environment_frames: int, warn: Callable[[str], None]) -> None:
        saved = self._saved_settings()
        others = differences(config, saved, network=False)
        if others:
            change = learning_rate_change(config, saved, environment_frames)
            text = f"{', '.join(others)}; {change}" if change else ", ".join(others)
            warn(f"{self.path} goes on with other settings than it had: {text}")

    def has_changed(self, config: Config) -> bool:
        """Returns whether the settings differ from those of the run that is there, but for its budget."""
        changes = [text for network in (True, False) for text in differences(config, self._saved_settings(), network)]
        return any(not text.startswith("--total_environment_frames=") for text in changes)

    def _check_writable(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path) as file:
                file.write(bytes(FIRST_BYTES))
        except OSError as error:
            raise SettingError(
                f"--logdir={self.path}: cannot be written ({error.strerror}); give a directory that can"
            ) from error

    def __repr__(self) -> str:
        return f"LogDir({str(self.path)!r})"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other runs out of the directory within the block.

        The lock is the system's (POSIX): it ends with this process, however that ends and whatever its children do, so
        a lock file that was left behind is in nobody's way. Between machines that share the directory it holds as far
        as their file system has such locks. A second run in this process is not kept out.

        Raises SettingError, which names the other run's process and machine, when it is in use.
        """
        with (self.path / LOCK).open("a+") as file:
            try:
                if fcntl:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "another run"
                raise SettingError(
                    f"--logdir={self.path}: is in use by {holder}; give another directory, or end that run first"
                ) from None
            except OSError as error:
                self._warn(f"{self.path} cannot be locked ({error.strerror}); see to it that no second run uses it")
            with contextlib.suppress(OSError):  # Only the message to a second run would be poorer.
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            yield

    def remove_if_empty(self) -> None:
        """Removes the directory of a run that never began; one that was there before the run stays."""
        if self._is_new:
            with contextlib.suppress(OSError):
                if [path.name for path in self.path.iterdir()] == [LOCK]:
                    (self.path / LOCK).unlink()
                self.path.rmdir()

    def write_settings(self, config: Config) -> None:
        """Writes the flag file; sets aside the CSV files of a run that left no checkpoint to go on from.

        Also removes what a crash has left of files that were being written. Raises SettingError when it cannot write.
        """
        try:
            self._remove_leftovers()
            self._write_settings(config)
        except OSError as error:
            raise SettingError(
                f"--logdir={self.path}: cannot be written ({error.strerror}); give a directory that can"
            ) from error

    def _remove_leftovers(self) -> None:
        for name in (SAVED_MODEL, BEST_MODEL):
            restore_directory(self.path / name)
            shutil.rmtree(self.path / f"{name}.tmp", ignore_errors=True)
        for directory in (self.path, self.checkpoints):
            for path in directory.glob("*.tmp"):
                if path.is_file():
                    path.unlink()

    def _write_settings(self, config: Config) -> None:
        if self.checkpoint is None:
            stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
            for name in TABLES:
                if (self.path / name).exists():
                    (self.path / name).rename(self.path / f"{name}.before-{stamp}")
        write_text(self.path / SETTINGS, "\n".join(to_flag_lines(config)) + "\n")


def saved_arguments(logdir: str) -> list[Argument]:
    """Returns the lines of settings.flags of a log directory from whose checkpoint a run can go on; else nothing."""
    path = pathlib.Path(logdir)
    if not logdir or not Checkpoints(path / CHECKPOINTS, keep=1).paths():
        return []
    try:
        lines = (path / SETTINGS).read_text(errors="replace").splitlines()
    except OSError:
        return []
    arguments = [Argument(line.strip(), f"{path / SETTINGS} line {number}") for number, line in enumerate(lines, 1)]
    return [argument for argument in arguments if argument.text]


def find_start(init_from: str) -> pathlib.Path:
    """Returns the checkpoint, or the directory of the export, that --init_from means.

    Raises SettingError when there is neither.
    """
    path = pathlib.Path(init_from)
    if path.is_file() and path.suffix == ".npz":
        return path
    checkpoints = Checkpoints(path / CHECKPOINTS, keep=1).paths()
    if checkpoints:
        return checkpoints[-1]
    if (path / MODEL).is_file():
        check_export(path, "init_from")
        return path
    what = "has no weights" if path.exists() else "does not exist"
    raise SettingError(
        f"--init_from={init_from}: {what}; give a checkpoint (.npz), a log directory with a checkpoint, or an export "
        "(saved_model)"
    )


def teacher_exports(teacher: str) -> list[pathlib.Path]:
    """Returns the directories that --teacher names. Raises SettingError when one is not an export."""
    paths = [pathlib.Path(item) for item in teacher.split(",")] if teacher else []
    for path in paths:
        check_export(path, "teacher")
    return paths


def _new_directory(env_id: str) -> pathlib.Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = re.sub("[/:,]", "-", env_id)[:60]
    path = pathlib.Path("runs") / f"{name}-{stamp}"
    count = 1
    while path.exists():
        count += 1
        path = pathlib.Path("runs") / f"{name}-{stamp}-{count}"
    return path
