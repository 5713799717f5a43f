"""Records the evaluations during training, in evaluations.csv and TensorBoard."""

import pathlib
from collections.abc import Sequence
from typing import Any

from impala_tf.records.tables import Table, read_rows
from impala_tf.records.tensorboard import TensorBoardWriter
from impala_tf.support.messages import warn

COLUMNS = (
    "environment_frames", "updates", "task", "mean", "standard_error", "low_95", "high_95", "num_episodes",
)  # fmt: skip


class Evaluations:
    """Writes the evaluations from the evaluator's thread. tasks: ids of the run's tasks."""

    def __init__(self, path: pathlib.Path, tensorboard: TensorBoardWriter, tasks: Sequence[str]):
        self._path = path
        self._table = Table(path, warn)
        self._tensorboard = tensorboard
        self._tasks = tasks

    def record(self, environment_frames: int, updates: int, task: str, statistics: dict[str, Any]) -> None:
        """Writes the row of one task. statistics: result of `playing.episode_statistics`."""
        low, high = statistics["interval_95"]
        numbers = [f"{x:.6g}" for x in (statistics["mean"], statistics["standard_error"], low, high)]
        self._table.append(COLUMNS, [[environment_frames, updates, task, *numbers, statistics["num_episodes"]]])
        suffix = f"/{task}" if len(self._tasks) > 1 else ""
        self._tensorboard.add_scalars(environment_frames, {f"evaluation/mean_return{suffix}": statistics["mean"]})

    def is_complete(self, environment_frames: int) -> bool:
        """Returns whether every task has a row after so many frames, written now or before the run was resumed."""
        rows = read_rows(self._path)
        return {row["task"] for row in rows if int(row["environment_frames"]) == environment_frames} == set(self._tasks)
