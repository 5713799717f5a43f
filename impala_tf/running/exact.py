"""Resumes a run so that it equals one that was never stopped, to the bit (--exact_resume)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from impala_tf.acting.actor import Actor
from impala_tf.acting.actor_state import ActorMark
from impala_tf.acting.base_actor import BaseActor
from impala_tf.config import Config, SettingError
from impala_tf.experience.reuse import ReuseSource
from impala_tf.interfaces import Source
from impala_tf.learning.learner import Learner
from impala_tf.records.metrics import Metrics
from impala_tf.support.messages import warn

# The arrays of an actor have names that begin with this and its number; the JSON text has this key.
EXACT = "exact"


class Mark(NamedTuple):
    """The whole run was here after an update.

    updates: number of updates before it.
    learned: arrays of the learner; None where it still has them when the run is saved.
    info: the JSON part of a checkpoint.
    actors: where each actor was; None where it had not begun.
    """

    updates: int
    learned: dict[str, np.ndarray] | None
    info: dict[str, Any]
    actors: list[ActorMark | None]


class ExactResume:
    """Marks the points from which a run can be resumed to the bit, and goes to one.

    Such a point is between an update and the publication of its weights: all actors wait for these, no unroll is on its
    way, and all uses of the batch are done. When the run ends later, with an unroll or a minibatch in hand, the last
    point is saved; what was begun after it will be made again.

    seed: seed of the actors.
    random: generator of the run's seeds.
    """

    def __init__(
        self,
        seed: int,
        random: np.random.Generator,
        learner: Learner,
        metrics: Metrics,
        source: Source,
        actors: Sequence[BaseActor],
    ):
        assert all(isinstance(actor, Actor) for actor in actors), "others cannot be replayed"
        self._seed = seed
        self._random = random
        self._learner = learner
        self._metrics = metrics
        self._reuse = source if isinstance(source, ReuseSource) else None
        self._actors: list[Actor] = list(actors)  # type: ignore[arg-type]
        self.mark()

    def mark(self) -> None:
        """Marks the present point. The caller sees to it that it is one from which a run can be resumed."""
        exact = dict(
            seed=self._seed,
            vectors=self._sizes(),
            reuse=self._reuse.random_state if self._reuse else None,
        )
        # The learner of minibatches changes before the next point.
        learned = self._learner.state() if self._reuse else None
        info = {"metrics": self._metrics.state(), "random": self._random.bit_generator.state, EXACT: exact}
        self._mark = Mark(self._learner.updates, learned, info, [actor.mark() for actor in self._actors])

    def saved(self) -> tuple[int, dict[str, np.ndarray], dict[str, Any]]:
        """Returns (updates, arrays, info) of the last point, for a checkpoint."""
        mark = self._mark
        arrays = dict(mark.learned or self._learner.state())
        assert mark.updates == int(arrays["updates"]), "an update has no point after it"
        for actor, point in zip(self._actors, mark.actors, strict=True):
            if point is not None:
                start = _start(actor)
                arrays |= {f"{start}{name}": array for name, array in actor.arrays_at(point).items()}
        return mark.updates, arrays, mark.info

    def _sizes(self) -> list[list[int]]:
        """Returns the number of environments in each vector of each actor."""
        return [[vector.num_envs for vector in actor.vectors] for actor in self._actors]

    def go_to(self, arrays: dict[str, np.ndarray], info: dict[str, Any]) -> None:
        """Goes to the point of a checkpoint; the learner and the metrics have been restored.

        arrays, info: content of the checkpoint.
        Raises SettingError when the run cannot go on from there exactly.
        """
        exact = info[EXACT]
        if exact["vectors"] != self._sizes():
            raise SettingError(
                f"--exact_resume=true: the checkpoint has the environments of other actors, {exact['vectors']} instead "
                f"of {self._sizes()}; give the settings that it was written with, or leave the flag out"
            )
        if self._reuse and exact["reuse"]:
            self._reuse.random_state = exact["reuse"]
        self._random.bit_generator.state = info["random"]
        has_begun = [actor for actor in self._actors if f"{_start(actor)}num_graph_calls" in arrays]
        num_steps = sum(len(array) for name, array in arrays.items() if name.endswith("/actions"))
        if has_begun:
            warn(f"replaying {num_steps:,} steps of the episodes that were running")
        for actor in has_begun:
            start = _start(actor)
            actor.go_to({name.removeprefix(start): arrays[name] for name in arrays if name.startswith(start)})
        self.mark()


def _start(actor: BaseActor) -> str:
    return f"{EXACT}/actor_{actor.index}/"


def make_exact(
    config: Config,
    seed: int,
    random: np.random.Generator,
    learner: Learner,
    metrics: Metrics,
    source: Source,
    actors: Sequence[BaseActor],
    checkpoint: tuple[dict[str, np.ndarray], dict[str, Any]] | None,
) -> ExactResume | None:
    """Makes what resumes to the bit, and goes to a checkpoint, if there is one. Returns None without --exact_resume.

    Raises what `ExactResume.go_to` raises.
    """
    if not config.exact_resume:
        return None
    exact = ExactResume(seed, random, learner, metrics, source, actors)
    if checkpoint:
        exact.go_to(*checkpoint)
    return exact


def actors_seed(config: Config, drawn: int, checkpoint: tuple[dict, dict] | None) -> int:
    """Returns the seed of the run's actors: that of the checkpoint where it is resumed exactly, else the drawn one.

    Raises SettingError when the checkpoint was written without --exact_resume.
    """
    if not config.exact_resume or checkpoint is None:
        return drawn
    if EXACT not in checkpoint[1]:
        raise SettingError(
            "--exact_resume=true: the checkpoint was written without it; leave it out, or give another --logdir"
        )
    return int(checkpoint[1][EXACT]["seed"])


def check_device(config: Config, device: str) -> None:
    """Raises SettingError where an update is not repeatable to the bit. device: device of the learner."""
    if config.exact_resume and "GPU" in device:
        raise SettingError(
            "--exact_resume=true: a GPU sums in any order, so no update is repeatable to the bit; hide it by "
            "CUDA_VISIBLE_DEVICES=-1, or leave the flag out"
        )
