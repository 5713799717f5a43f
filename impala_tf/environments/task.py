"""Describes one of the run's tasks, and how the rows of its environments fit into the run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np


def unchanged(actions: np.ndarray) -> np.ndarray:
    """Returns the actions; for environments that take them as they travel."""
    return actions


@dataclasses.dataclass(frozen=True)
class Task:
    """A task says how the rows of its environments fit into the run.

    index: the task's place among the run's tasks.
    env_id: the task's id.
    shape: shape to which smaller observations are filled up with zeros, at the end of each axis; None means that all
        observations have the same shape.
    to_environment: a function from the actions that travel, [B, ...], to what the environments' step takes.
    ends_on_life_loss: whether a row that loses a life, known from info["lives"], is `terminated` for the learner; the
        episode, its return and its length go on, and the next row is not `first`.
    discounting: gamma, for the discounted return.
    """

    index: int = 0
    env_id: str = ""
    shape: tuple[int, ...] | None = None
    to_environment: Callable[[np.ndarray], Any] = unchanged
    ends_on_life_loss: bool = False
    discounting: float = 1.0

    def fill_up(self, observation: np.ndarray) -> np.ndarray:
        """[B, ...] -> [B, *shape]."""
        if self.shape is None or observation.shape[1:] == self.shape:
            return observation
        filled = np.zeros((len(observation), *self.shape), observation.dtype)
        filled[tuple(slice(size) for size in observation.shape)] = observation
        return filled


SINGLE_TASK = Task()
