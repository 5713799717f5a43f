"""Keeps the returns of the last episodes of each task."""

import collections
from collections.abc import Sequence

import numpy as np

from impala_tf.environments import suites
from impala_tf.environments.suites import Normalised
from impala_tf.experience.batch_statistics import BatchStatistics

WINDOW = 100  # The running mean has so many episodes, as in CartPole-v1's definition of solved.


class RecentReturns:
    """Keeps the last 100 returns of each task apart: a game with short episodes must not crowd out the others."""

    def __init__(self, tasks: Sequence[str]):
        self._returns: dict[str, collections.deque[float]] = {
            task: collections.deque(maxlen=WINDOW) for task in tasks
        }  # fmt: skip

    def add(self, batch: BatchStatistics) -> None:
        for index, returns in enumerate(self._returns.values()):
            returns.extend(batch.returns[batch.tasks == index].tolist())

    def means(self) -> dict[str, float]:
        """Returns the mean of each task's last 100 returns; nan before its first episode has ended."""
        return {
            task: float(np.mean(returns)) if returns else float("nan") for task, returns in self._returns.items()
        }  # fmt: skip

    def mean(self) -> float:
        """Returns the mean over the tasks of which an episode has ended; nan before the first."""
        means = list(self._means_so_far().values())
        return float(np.mean(means)) if means else float("nan")

    def normalised(self) -> Normalised:
        """Returns normalised scores over the tasks of which an episode has ended; nan before the first."""
        means = self._means_so_far()
        return suites.summarise(means) if means else Normalised(*[float("nan")] * len(Normalised._fields))

    def _means_so_far(self) -> dict[str, float]:
        return {task: mean for task, mean in self.means().items() if not np.isnan(mean)}

    def state(self) -> dict[str, list[float]]:
        return {task: list(returns) for task, returns in self._returns.items()}

    def restore(self, state: dict[str, list[float]]) -> None:
        for task, returns in state.items():
            self._returns[task].extend(returns)
