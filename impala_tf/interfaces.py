"""Lists the components of a run as interfaces, in the order in which data flows through them.

    VectorEnvironment --rows--> Actor --unrolls--> unroll queue --> Source --batches--> learner --weights--> WeightStore
                                  ^                                            |                                  |
                                  |                                        Algorithm                              |
                                  +-------------------------------------------------------------------------------+

Whatever has these methods can take the component's place: a batch from a replay buffer is a batch, an actor on another
machine is an actor. `running/wiring.py` makes the components and connects them.
"""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from impala_tf.types import Array, EnvOutput, Intrinsic, Loss, LossInputs, Marks, Needs, Unroll

if TYPE_CHECKING:
    import tensorflow as tf


class VectorEnvironment(Protocol):
    """A vector has B environments, which step at the same time and emit rows in the convention of `types.py`.

    num_envs: B.
    tasks: [B] int32, index of the task that each environment belongs to.
    """

    num_envs: int
    tasks: np.ndarray

    def reset(self) -> EnvOutput:
        """Begins an episode in every environment. Returns a row [B, ...] in which all are `first`."""

    def step(self, actions: np.ndarray) -> EnvOutput:
        """Takes actions [B, ...] and returns the row [B, ...] that they led to.

        An environment whose last row ended an episode ignores its action and begins the next episode.
        """

    def close(self) -> None: ...


class Actor(Protocol):
    """An actor makes unrolls with its environments and a policy.

    index: index of the actor in the run.
    environment_secs: seconds of the last unroll that were spent in the environments.
    """

    index: int
    environment_secs: float

    def unroll(self, policy_version: int, flat_weights: "tf.Tensor") -> Unroll:
        """Acts for T steps with the weights [num_parameters] and returns unrolls in the queue's groups.

        policy_version: update count that belongs to the weights; the unrolls carry it.
        """

    def close(self) -> None: ...


class Source(Protocol):
    """A source gives the learner its batches."""

    def next(self) -> Any:
        """Returns the next `experience.source.Batch`: unrolls in groups, and the statistics of those that are fresh."""

    def has_next(self) -> bool:
        """Returns whether `next` has not to wait."""

    def learned(self, batch: Any, advantage_tm1: Array) -> None:
        """Tells the source what an update made of one of its batches.

        advantage_tm1: [T, B] float32, advantages of the steps.
        """


class Algorithm(Protocol):
    """An algorithm is a pure loss, what it needs and what it reports. It knows no network, optimizer or thread.

    metric_names: names of the loss's metrics; they become columns of metrics.csv.
    needs: declaration of what the learner and the source have to give it.
    """

    @property
    def metric_names(self) -> tuple[str, ...]: ...

    @property
    def needs(self) -> Needs: ...

    def loss(self, inputs: LossInputs) -> Loss:
        """Returns the loss of a batch of unrolls."""


class Term(Protocol):
    """A term is a loss that is added to any algorithm's.

    metric_names: names of the term's metrics; they become columns of metrics.csv.
    """

    @property
    def metric_names(self) -> tuple[str, ...]: ...

    def loss(self, inputs: LossInputs) -> tuple[Array, dict[str, Array]]:
        """Returns the term [] float32, times its cost, and its metrics by name."""


class Motivation(Term, Protocol):
    """A motivation gives intrinsic rewards. It learns what is new from a loss, so it is a term.

    variables: its weights, which are trained with the gradient of the objective.
    """

    variables: "list[tf.Variable]"

    def observe(self, batch: Unroll, marks: Marks) -> Intrinsic:
        """Takes a batch of unrolls into its statistics, and returns its rewards."""

    def step(self, gradients: "list[tf.Tensor]") -> None:
        """Changes `variables` along the gradients."""

    def named_variables(self) -> dict[str, Any]:
        """Returns the Keras variables that a checkpoint keeps, by names that begin with a word of its own and /."""


class WeightStore(Protocol):
    """Versioned weights travel through this store from the learner to the actors."""

    def publish(self, version: int, flat_weights: Array) -> None:
        """Makes weights [num_parameters] float32 the newest. version: the learner's update count."""

    def latest(self) -> tuple[int, Array]:
        """Returns (version, flat weights) that an actor is to act with now."""

    def newer_than(self, version: int) -> tuple[int, Array]:
        """Waits until `latest` is newer than `version`, and returns it."""
