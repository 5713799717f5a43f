"""Joins learners in several processes; no other file uses tf.distribute.

Each learner has an agent and an optimizer of its own, in plain variables. Between the gradients and the step there is
one sum over all learners, of one flat vector; all take the same step along it, so their weights stay equal to the bit.
tf.distribute.MultiWorkerMirroredStrategy is only the engine of that sum: gRPC rings between CPUs, NCCL between GPUs.
Keras 3 does not know it, and no variable is made in its scope.
"""

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from impala_tf.support.messages import one_line
from impala_tf.support.others import LearnersLost

# The other metrics are means over valid steps, also those of a user's own algorithm.
SUMS = (
    *("total", "policy_gradient", "baseline", "entropy", "clone_policy", "clone_baseline", "teacher_loss", "predictor"),
)
LONGEST_CAUSE = 160  # TensorFlow's text of a broken connection has more characters, which help nobody.


class Learners(Protocol):
    """All learners of a run, as one of them sees them.

    size: L, number of learners. index: number of this one. The chief, learner 0, keeps the records of the run.
    lost: why no exchange is possible any more; None while it is.
    """

    size: int
    index: int
    lost: LearnersLost | None

    def exchange(self, sums: Any, own: Any) -> tuple[Any, Any]:
        """Exchanges tensors within a graph.

        sums: nest of float32 tensors, which are summed over all learners.
        own: nest of float32 tensors, of which each learner gets those of all.

        Returns both nests; tensors of the second have a first axis [L].
        """

    def tally(self, num_steps: int, ends: bool) -> list[tf.Tensor]:
        """Returns what an update tells the others beside its gradients; nothing where there are none.

        num_steps: number of new agent steps of this learner.
        ends: whether this learner asks all to end with this update.
        """

    def from_chief(self, content: bytes) -> bytes:
        """Returns the chief's content to all learners. Each calls it at the same time."""

    def watched(self) -> AbstractContextManager:
        """Returns a context that raises LearnersLost when an exchange within it fails."""


class Alone:
    """There is only this learner: the sum over all is the identity."""

    size = 1
    index = 0
    lost: LearnersLost | None = None

    def exchange(self, sums: Any, own: Any) -> tuple[Any, Any]:
        return sums, tf.nest.map_structure(lambda x: x[tf.newaxis], own)

    def tally(self, num_steps: int, ends: bool) -> list[tf.Tensor]:
        return []

    def from_chief(self, content: bytes) -> bytes:
        return content

    def watched(self) -> AbstractContextManager:
        return contextlib.nullcontext()


ALONE = Alone()


class Cluster:
    """Learners in several processes, on any machines. Making it waits until all of them are there.

    It must be made before TensorFlow runs its first op, and only once in a process. After a failed exchange the
    process cannot exchange any more.

    hosts: host:port of each learner, at which it listens for the others.
    index: number of this learner.
    """

    def __init__(self, hosts: Sequence[str], index: int):
        self.size = len(hosts)
        self.index = index
        self.lost: LearnersLost | None = None
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(hosts)}),
            task_type="worker",
            task_id=index,
            num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
            rpc_layer="grpc",
        )
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        self._sum_of_bytes = tf.function(self._all_reduce, autograph=False)

    def exchange(self, sums: Any, own: Any) -> tuple[Any, Any]:
        slots = tf.nest.map_structure(self._slots, own)
        tensors = tf.nest.flatten([sums, slots])
        if not tensors:
            return sums, own
        flat = self._all_reduce(tf.concat([tf.reshape(x, [-1]) for x in tensors], axis=0))
        shapes = [x.shape.as_list() for x in tensors]
        pieces = tf.split(flat, [math.prod(shape) for shape in shapes])
        summed = [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]
        return tuple(tf.nest.pack_sequence_as([sums, slots], summed))

    def tally(self, num_steps: int, ends: bool) -> list[tf.Tensor]:
        # float32 is exact up to 16 million steps.
        return [tf.convert_to_tensor(np.array([num_steps, ends], np.float32))]

    def from_chief(self, content: bytes) -> bytes:
        # All others add zeros, so these sums are the chief's numbers.
        mine = content if self.index == 0 else b""
        size = int(self._of_chief(np.array([len(mine)], np.int64))[0])
        if size == 0:  # A ring of nothing would crash TensorFlow.
            return b""
        padded = mine.ljust(8 * math.ceil(size / 8), b"\0")
        return self._of_chief(np.frombuffer(padded, np.int64)).tobytes()[:size]

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        try:
            yield
        except tf.errors.OpError as error:
            text = one_line(re.sub(r"\{\{.*?\}\}", "", error.message))  # Names of nodes in the graph.
            cause = f"{type(error).__name__}: {text[:LONGEST_CAUSE]}"
            self.lost = LearnersLost(
                f"learner {self.index} ends, since another of the {self.size} learners has ended or does not answer "
                f"({cause})"
            )
            raise self.lost from error

    def _of_chief(self, numbers: np.ndarray) -> np.ndarray:
        with self.watched():
            return self._sum_of_bytes(tf.convert_to_tensor(numbers)).numpy()

    def _slots(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns [L, ...], which is the tensor at this learner's index and 0 at all others."""
        zeros = tf.zeros_like(tensor)
        return tf.stack([tensor if i == self.index else zeros for i in range(self.size)])

    def _all_reduce(self, flat: tf.Tensor) -> tf.Tensor:
        def replica(x: tf.Tensor) -> tf.Tensor:
            # A function's argument has no device, and the sum needs one as its destination; an identity has one.
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(x))

        return self._strategy.experimental_local_results(self._strategy.run(replica, (flat,)))[0]


def join_metrics(names: Sequence[str], metrics: tf.Tensor, num_valid: tf.Tensor) -> tf.Tensor:
    """Returns the metrics of the joined batch, [number of metrics] float32.

    names: names of the metrics.
    metrics: [L, number of metrics] float32, those of each learner.
    num_valid: [L] float32, number of valid steps behind them; means are weighted by it.
    """
    if metrics.shape[0] == 1:
        return metrics[0]
    share = (num_valid / tf.maximum(tf.reduce_sum(num_valid), 1.0))[:, tf.newaxis]
    has_steps = num_valid[:, tf.newaxis] > 0  # A learner that only ends has none, and its means say nothing.
    mean = tf.reduce_sum(tf.where(has_steps, share * metrics, 0.0), axis=0)
    largest = tf.reduce_max(tf.where(has_steps, metrics, -math.inf), axis=0)
    smallest = tf.reduce_min(tf.where(has_steps, metrics, math.inf), axis=0)
    others = {"ratio_max": largest, "ratio_min": smallest} | dict.fromkeys(SUMS, tf.reduce_sum(metrics, axis=0))
    return tf.stack([others.get(name, mean)[i] for i, name in enumerate(names)])
