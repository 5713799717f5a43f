"""Keeps what a run says at its end, so that a finished one that is started again can say it at once."""

import json
import math
from collections.abc import Callable
from typing import NamedTuple

from impala_tf.config import Config
from impala_tf.records.files import write_text
from impala_tf.records.logdir import BEST_MODEL, SAVED_MODEL, LogDir

SUMMARY = "summary.json"


class Summary(NamedTuple):
    """A summary says how a run ended.

    environment_frames, updates, episodes: counts, including those before the run was resumed.
    mean_return: mean return of the last 100 episodes.
    seconds: duration of the training, without start-up and export.
    bottleneck: text that says where the time went.
    logdir: log directory of the run.
    """

    environment_frames: int
    updates: int
    episodes: int
    mean_return: float
    seconds: float
    bottleneck: str
    logdir: LogDir


def write_summary(summary: Summary) -> None:
    """Writes the summary into its log directory, when all else is written."""
    content = {name: value for name, value in summary._asdict().items() if name != "logdir"}
    content["mean_return"] = summary.mean_return if math.isfinite(summary.mean_return) else None
    write_text(summary.logdir.path / SUMMARY, json.dumps(content, indent=2) + "\n")


def finished(config: Config, logdir: LogDir, warn: Callable[[str], None]) -> Summary | None:
    """Returns the summary of a run that has used its budget and written all that it leaves; None for another.

    None also stands for a run that is to go on with settings that it did not have.

    warn: function that gets a line when the run is finished.
    """
    exports = [SAVED_MODEL, *([BEST_MODEL] if config.evaluate_every_frames else [])]
    if logdir.checkpoint is None or not all((logdir.path / name).is_dir() for name in exports):
        return None
    arrays, _ = logdir.checkpoint
    summary = _read(logdir)
    if summary is None or summary.environment_frames < config.total_environment_frames or logdir.has_changed(config):
        return None
    if (int(arrays["environment_frames"]), int(arrays["updates"])) != (summary.environment_frames, summary.updates):
        return None
    warn(
        f"the run has used its {config.total_environment_frames:,} environment frames and is finished; a larger "
        "--total_environment_frames goes on"
    )
    return summary


def _read(logdir: LogDir) -> Summary | None:
    """Returns what `write_summary` wrote; None if there is nothing, or nothing of that form."""
    try:
        content = json.loads((logdir.path / SUMMARY).read_bytes())
        return Summary(
            int(content["environment_frames"]),
            int(content["updates"]),
            int(content["episodes"]),
            math.nan if content["mean_return"] is None else float(content["mean_return"]),
            float(content["seconds"]),
            str(content["bottleneck"]),
            logdir,
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
