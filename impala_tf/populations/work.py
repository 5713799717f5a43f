"""Does a member's work: trains a piece as its assignment says. It runs in the member's process."""

import math
import os
import time
from typing import Any

import numpy as np

from impala_tf.config import Config
from impala_tf.environments.suites import summarise
from impala_tf.populations.directory import Assignment, PopulationDirectory, member_config
from impala_tf.populations.options import Options
from impala_tf.records.files import read_npz
from impala_tf.records.logdir import LogDir
from impala_tf.support.startup import import_tensorflow


class Worker:
    """Trains pieces of any member in this process, and keeps the graphs between them. Making it imports TensorFlow."""

    def __init__(self, directory: PopulationDirectory, config: Config, options: Options):
        self._directory = directory
        self._config = config
        self._options = options
        limit_threads(options.cpus_per_member)
        import_tensorflow()
        from impala_tf.running.pieces import Pieces

        self._pieces = Pieces()

    def train(self, member: int) -> dict[str, Any]:
        """Trains a member's next piece. Returns the fields of a `history.Row` without a decision."""
        started = time.perf_counter()
        assignment = self._directory.assignment(member)
        assert assignment is not None, f"member {member} was told nothing"
        config = member_config(self._config, self._options, self._directory.member(member), member, assignment)
        logdir = LogDir(config, lambda line: None)
        logdir.checkpoint = beginning(assignment, logdir.checkpoint, self._taken(member, assignment), config.seed)
        piece = self._pieces.train(config, logdir, assignment.until_episodes)
        # A member that has diverged sits out the rest of its piece, so that it cannot repeat it for ever.
        frames = assignment.until_frames if piece.diverged else piece.environment_frames
        return dict(
            member=member,
            environment_frames=frames,
            updates=piece.updates,
            episodes=piece.episodes,
            score=-math.inf if piece.diverged else score_of(piece.mean_returns, self._options.score),
            mean_return=mean_of(piece.mean_returns),
            training_secs=time.perf_counter() - started,
            hyperparameters=assignment.hyperparameters,
        )

    def _taken(self, member: int, assignment: Assignment) -> tuple[dict[str, np.ndarray], dict] | None:
        return read_npz(self._directory.taken(member)) if assignment.takes else None


def limit_threads(cpus: float) -> None:
    """Gives TensorFlow as many threads as the member has cores. It reads this when it is imported."""
    threads = str(max(1, int(cpus)))
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.setdefault(name, threads)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # Members may share a GPU.


def beginning(
    assignment: Assignment, own: tuple[dict, dict] | None, taken: tuple[dict, dict] | None, seed: int
) -> tuple[dict[str, np.ndarray], dict] | None:
    """Returns the checkpoint, (arrays, info), from which a member's piece begins; None for new weights.

    A copy brings weights, optimizer and recent returns. The member's own counters go on, since they are its budget.

    own: the member's newest checkpoint. taken: the checkpoint that it copies, if it does.
    seed: seed of a member that copies before it has a checkpoint.
    """
    if own is not None and int(own[0]["environment_frames"]) > assignment.environment_frames:
        return own  # The piece was begun before, and interrupted.
    if taken is None:
        source = own
    else:
        arrays, info = taken
        if own is not None:
            kept = {name: own[1]["metrics"][name] for name in ("seconds", "episodes")}
            updates, random = own[0]["updates"], own[1]["random"]
        else:
            kept = dict(seconds=0.0, episodes=0)
            updates, random = arrays["updates"], np.random.default_rng(seed).bit_generator.state
        source = arrays | dict(updates=updates), dict(metrics=info["metrics"] | kept, random=random)
    if source is None:
        return None
    return source[0] | dict(environment_frames=np.asarray(assignment.environment_frames)), source[1]


def score_of(mean_returns: dict[str, float], score: str) -> float:
    """Returns the score of a member: capped is the mean capped normalised score, return the mean return.

    It is over the tasks of which an episode has ended; -inf before the first.
    """
    ended = {task: value for task, value in mean_returns.items() if math.isfinite(value)}
    if not ended:
        return -math.inf
    return summarise(ended).mean_capped if score == "capped" else mean_of(ended)


def mean_of(mean_returns: dict[str, float]) -> float:
    """Returns the mean over the tasks of which an episode has ended; nan before the first."""
    ended = [value for value in mean_returns.values() if math.isfinite(value)]
    return float(np.mean(ended)) if ended else math.nan
