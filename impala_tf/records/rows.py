"""The rows of metrics.csv and episodes.csv: which columns there are, and how an interval becomes one number in each."""

import collections
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from impala_tf.experience.batch_statistics import BatchStatistics
from impala_tf.types import Array

EPISODE_COLUMNS = ("environment_frames", "actor", "task", "episode_return", "episode_length")

# The columns secs/NAME have seconds of the learner per update and, from "weights" on, of the actors per unroll.
TIMES = (
    "wait", "batch", "update", "weights", "turn", "act", "environment", "put", "gradient",
)  # fmt: skip

# These functions make one number of a column's values in an interval; all other columns take the mean.
_REDUCTIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "ratio_max": np.max,
    "ratio_min": np.min,
    "policy_lag_max": np.max,
    "dropped_unrolls": np.sum,
    "skipped_updates": np.sum,
}


class Position(NamedTuple):
    """This is how far the run was after an update. learning_rate: rate of the next update."""

    environment_frames: int
    updates: int
    learning_rate: float


class Interval:
    """An interval holds what was recorded since the last row.

    metrics: `UpdateResult.metrics` of each update that was not skipped.
    values: other numbers, by column.
    batches: environment frames after each batch in which episodes ended, and the batch's statistics.
    """

    def __init__(self) -> None:
        self.metrics: list[Array] = []
        self.values: dict[str, list[float]] = collections.defaultdict(list)
        self.batches: list[tuple[int, BatchStatistics]] = []

    def returns(self) -> list[float]:
        """Returns the returns of the episodes that ended, in their order."""
        return [float(x) for _, batch in self.batches for x in batch.returns]

    def lengths(self) -> list[float]:
        """Returns the lengths of the same episodes, in agent steps."""
        return [float(x) for _, batch in self.batches for x in batch.lengths]

    def columns(self, names: Sequence[str]) -> dict[str, float]:
        """Returns one number for each column that has many values in an interval; nan where it has none.

        names: names of the learner's metrics, in the order of `UpdateResult.metrics`.
        """
        matrix = np.array([np.asarray(vector) for vector in self.metrics]).reshape(-1, len(names))
        columns = {name: matrix[:, i] for i, name in enumerate(names)}
        others = (
            "policy_lag_mean",
            "policy_lag_max",
            "dropped_unrolls",
            "skipped_updates",
            *(f"secs/{name}" for name in TIMES),
        )
        columns |= {name: np.array(self.values[name]) for name in others}
        return {
            name: float(_REDUCTIONS.get(name, np.mean)(column)) if len(column) else float("nan")
            for name, column in columns.items()
        }

    def episode_rows(self, tasks: Sequence[str]) -> list[list]:
        """Returns a row of `EPISODE_COLUMNS` for each episode. tasks: ids of the run's tasks."""
        rows = []
        for frames, batch in self.batches:
            columns = (batch.actors, batch.tasks, batch.returns, batch.lengths)
            for actor, task, episode_return, length in zip(*columns, strict=True):
                rows.append([frames, actor, tasks[task], f"{episode_return:g}", length])
        return rows


def as_text(row: dict[str, float]) -> list:
    """Returns the row's values as they stand in metrics.csv."""
    return [f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]
