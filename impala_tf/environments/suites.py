"""Has suites of several tasks for one agent, and normalises scores by reference scores."""

import difflib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments.reference_scores import ATARI57, DMLAB30, DMLAB30_TEST, MINATAR5, REFERENCES, Reference

SUITES: dict[str, dict[str, Reference]] = {
    "atari57": ATARI57,
    "minatar5": MINATAR5,
    "dmlab30": DMLAB30,
    "dmlab30_test": DMLAB30_TEST,
}


def tasks_of(config: Config) -> tuple[str, ...]:
    """Returns the ids that --env_id stands for: itself, the items of a list with commas, or a suite's.

    Raises SettingError when an item is empty or given twice.
    """
    tasks = tuple(SUITES.get(config.env_id, config.env_id.split(",")))
    if "" in tasks or len(set(tasks)) < len(tasks):
        raise SettingError(
            f"--env_id={config.env_id}: give an id, different ids with commas between them, or {' or '.join(SUITES)}"
        )
    return tasks


def normalised(task: str, score: float) -> float:
    """Returns (score - random) / (expert - random), so that a human has 1 on Atari and DMLab.

    It is nan for a task without a reference.
    """
    reference = REFERENCES.get(task)
    if reference is None:
        return float("nan")
    return (score - reference.random) / (reference.expert - reference.random)


class Normalised(NamedTuple):
    """Scores over tasks have a mean, a median (the paper's table 4) and a mean of scores capped at 1 (table 3)."""

    mean: float
    median: float
    mean_capped: float


def summarise(scores: Mapping[str, float]) -> Normalised:
    """Returns the normalised scores; all are nan when a task has no reference or no score yet.

    scores: the mean return of each task, by its id.
    """
    values = np.array([normalised(task, score) for task, score in scores.items()])
    return Normalised(float(values.mean()), float(np.median(values)), float(np.minimum(values, 1.0).mean()))


def similar(name: str) -> list[str]:
    """Returns the suites with a similar name."""
    return difflib.get_close_matches(name, SUITES, n=1)
