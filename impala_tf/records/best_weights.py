"""Keeps the best weights of a run, with the scores that evaluations gave them."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from impala_tf.records.files import DamagedFileError, read_npz, write_npz

BEST = "best.npz"  # The file's name among the checkpoints.


class Best(NamedTuple):
    """This says where in the run the best weights were found, and how good they are.

    selection_score: score by which they were chosen. It is the highest of many noisy ones, so it is too high.
    score: score of episodes with other seeds, played after the choice; None before they were played.
    """

    environment_frames: int
    updates: int
    selection_score: float
    score: float | None = None

    def description(self) -> dict:
        """Returns what an export says of its weights; its score is the selection's where there is no other."""
        score = self.selection_score if self.score is None else self.score
        return dict(
            score=score,
            score_is_of="selection" if self.score is None else "other seeds",
            selection_score=self.selection_score,
            environment_frames=self.environment_frames,
        )


class BestWeights:
    """This is the file with the best weights. `best` describes them; it is None before the first evaluation."""

    def __init__(self, directory: pathlib.Path):
        self._path = directory / BEST
        self.best: Best | None = None

    def resume(self, warn: Callable[[str], None]) -> None:
        """Reads the file from before the run was resumed. warn: function that gets a line when it is damaged."""
        if not self._path.exists():
            return
        try:
            _, info = read_npz(self._path)
            self.best = _best_of(info)
        except (DamagedFileError, KeyError, TypeError) as error:
            warn(f"{self._path} is damaged ({error}); the best weights are sought anew")

    def keep(self, best: Best, flat_weights: np.ndarray) -> None:
        """Keeps these weights as the best. flat_weights: [num_parameters] float32, all weights of the agent."""
        write_npz(self._path, dict(flat_weights=flat_weights), best._asdict())
        self.best = best

    def keep_score(self, score: float) -> None:
        """Notes the score of episodes that were played after the choice."""
        assert self.best
        self.keep(self.best._replace(score=score), self.flat_weights())

    def flat_weights(self) -> np.ndarray:
        """Returns the weights that were kept. Raises DamagedFileError."""
        return read_npz(self._path)[0]["flat_weights"]


def _best_of(info: dict) -> Best:
    if "selection_score" not in info:  # The version before kept only the score of the choice, as "score".
        return Best(info["environment_frames"], info["updates"], info["score"])
    return Best(**info)
