"""Knows where everything of a population lies, and what each member does next.

The directory is the whole state: who starts again after a crash reads what is there. It must be on a file system that
all machines of the population share.
"""

import dataclasses
import json
import pathlib
import shutil
from typing import Any, NamedTuple

from impala_tf.config import Config, SettingError, differences, to_flag_lines
from impala_tf.populations.options import Options, with_values
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.files import write_text
from impala_tf.records.logdir import CHECKPOINTS, SETTINGS

OPTIONS = "population.json"
# A population that goes on must have the same of these.
_FIXED = ("population", "scheduler", "vary", "score")


class Assignment(NamedTuple):
    """An assignment says what a member does next.

    hyperparameters: values of the settings that are varied.
    environment_frames: count with which the piece begins.
    until_frames, until_episodes: counts with which it ends, whichever comes first.
    takes: whether it begins with the weights in `taken.npz`, instead of the member's own.
    stopped: whether the scheduler has ended the member before its budget.
    """

    hyperparameters: dict[str, float]
    environment_frames: int
    until_frames: int
    until_episodes: int
    takes: bool = False
    stopped: bool = False


class PopulationDirectory:
    """These are the files of a population."""

    def __init__(self, path: pathlib.Path):
        self.path = path.resolve()
        self.history = self.path / "population.csv"
        self.picture = self.path / "population.png"
        self.best = self.path / "best"
        self.tune = self.path / "tune"

    def member(self, index: int) -> pathlib.Path:
        """Returns the log directory of a member."""
        return self.path / "members" / f"{index:03d}"

    def taken(self, index: int) -> pathlib.Path:
        """Returns the checkpoint that a member has copied."""
        return self.member(index) / "taken.npz"

    def assignment(self, index: int) -> Assignment | None:
        """Returns what a member does next; None before it has been told."""
        path = self.member(index) / "next.json"
        return Assignment(**json.loads(path.read_text())) if path.exists() else None

    def assign(self, index: int, assignment: Assignment) -> None:
        write_text(self.member(index) / "next.json", json.dumps(assignment._asdict(), indent=2) + "\n")

    def checkpoint(self, index: int, updates: int) -> pathlib.Path:
        """Returns a member's checkpoint after so many updates, or its newest where that is gone.

        Raises FileNotFoundError when it has none.
        """
        paths = Checkpoints(self.member(index) / CHECKPOINTS, keep=1).paths()
        if not paths:
            raise FileNotFoundError(f"{self.member(index)} has no checkpoint")
        wanted = paths[-1].with_name(f"checkpoint-{updates:010d}.npz")
        return wanted if wanted in paths else paths[-1]

    def copy_checkpoint(self, source: int, updates: int, target: int) -> None:
        """Copies a member's checkpoint for another, because the member may remove it before the other begins."""
        temporary = self.taken(target).with_suffix(".tmp")
        shutil.copyfile(self.checkpoint(source, updates), temporary)
        temporary.replace(self.taken(target))

    def open(self, config: Config, options: Options) -> bool:
        """Begins a population, or checks that the one that is there may go on. Returns whether there is one.

        Raises SettingError when the directory has something else, or a population with other settings.
        """
        settings, saved_options = self.path / SETTINGS, self.path / OPTIONS
        goes_on = saved_options.exists()
        if goes_on:
            saved = json.loads(saved_options.read_text())
            here = _as_json(options)
            for name in _FIXED:
                if saved[name] != here[name]:
                    raise SettingError(
                        f"--{name}={here[name]}: {self.path} has a population with --{name}={saved[name]}; "
                        "give that, or another directory"
                    )
            network = differences(config, settings.read_text().splitlines(), network=True)
            if network:
                raise SettingError(
                    f"--logdir={self.path}: its population has other settings: {', '.join(network)}; give these or "
                    "another directory"
                )
        elif settings.exists():
            raise SettingError(f"--logdir={self.path}: holds a single run; give another directory")
        try:
            write_text(settings, "\n".join(to_flag_lines(config)) + "\n")
            write_text(saved_options, json.dumps(_as_json(options), indent=2) + "\n")
        except OSError as error:
            raise SettingError(
                f"--logdir={self.path}: cannot be written ({error.strerror}); give a directory that can"
            ) from error
        return goes_on


def _as_json(options: Options) -> dict[str, Any]:
    others = {name: value for name, value in options._asdict().items() if name != "ranges"}
    return others | dict(vary=",".join(item.text() for item in options.ranges))


def member_config(config: Config, options: Options, logdir: pathlib.Path, index: int, assignment: Assignment) -> Config:
    """Returns the settings of a member's next piece."""
    return dataclasses.replace(
        with_values(config, assignment.hyperparameters),
        logdir=str(logdir),
        seed=config.seed + index,
        total_environment_frames=assignment.until_frames,
        # The schedules must not end with the piece.
        schedule_frames=config.schedule_frames or config.total_environment_frames,
        concurrent_actors=config.concurrent_actors or max(1, int(options.cpus_per_member)),
    )
