"""The rows of metrics.csv and episodes.csv: which columns there are, and how an interval becomes one number in each."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from impala_tf.experience.batch_statistics import BatchStatistics
from impala_tf.types import Array

EPISODE_COLUMNS = ("environment_frames", "actor", "task", "episode_return", "episode_length")

# The columns secs/NAME: seconds of the learner per update and, from "weights" on, of the actors per unroll.
TIMES = (
    "wait", "batch", "update", "weights", "turn", "act", "environment", "put", "gradient",
)  # fmt: skip

# What the values of an interval become one number by; all others by their mean.
_REDUCTIONS = {"ratio_max": np.max, "ratio_min": np.min, "policy_lag_max": np.max}


class Position(NamedTuple):
    """How far the run was after an update. learning_rate: the rate of the next one."""

    environment_frames: int
    updates: int
    learning_rate: float


class Interval:
    """What was recorded since the last row.

    statistics: the learner's vector of each update.
    values: other numbers by column.
    batches: the environment frames after each batch in which episodes ended, and the batch's statistics.
    """

    def __init__(self) -> None:
        self.statistics: list[Array] = []
        self.values: dict[str, list[float]] = collections.defaultdict(list)
        self.batches: list[tuple[int, BatchStatistics]] = []

    def returns(self) -> list[float]:
        """The returns of the episodes that ended, in their order."""
        return [float(x) for _, batch in self.batches for x in batch.returns]

    def lengths(self) -> list[float]:
        """The lengths of the same episodes, in agent steps."""
        return [float(x) for _, batch in self.batches for x in batch.lengths]

    def columns(self, names: Sequence[str]) -> dict[str, float]:
        """One number for each column of which an interval has many values; nan where it has none.

        names: the names of the learner's statistics, in the order of its vector.
        """
        matrix = np.stack([np.asarray(vector) for vector in self.statistics])
        columns = {name: matrix[:, i] for i, name in enumerate(names)}
        others = ("policy_lag_mean", "policy_lag_max", *(f"secs/{name}" for name in TIMES))
        columns |= {name: np.array(self.values[name]) for name in others}
        return {
            name: float(_REDUCTIONS.get(name, np.mean)(column)) if len(column) else float("nan")
            for name, column in columns.items()
        }

    def episode_rows(self, tasks: Sequence[str]) -> list[list]:
        """A row of `EPISODE_COLUMNS` for each episode. tasks: the ids of the run's tasks."""
        rows = []
        for frames, batch in self.batches:
            columns = (batch.actors, batch.tasks, batch.returns, batch.lengths)
            for actor, task, episode_return, length in zip(*columns, strict=True):
                rows.append([frames, actor, tasks[task], f"{episode_return:g}", length])
        return rows


def as_text(row: dict[str, float]) -> list:
    """The row's values as they stand in metrics.csv."""
    return [f"{value:.6g}" if isinstance(value, float) else value for value in row.values()]
