"""Computes gradients apart from the learner, for A3C."""

from collections.abc import Callable

import tensorflow as tf

from impala_tf.experience.marks import all_fresh
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.learning import finite
from impala_tf.learning.objective import Objective
from impala_tf.learning.optimizers import Hyperparameters
from impala_tf.support.graphs import direct_call
from impala_tf.types import Unroll


class GradientWorker:
    """Computes an A3C worker's gradients of an objective, under the weights that its agent has now."""

    def __init__(self, objective: Objective, xla: bool):
        self._objective = objective
        self._call: Callable | None = None
        self._function = tf.function(self._graph, autograph=False, jit_compile=xla)

    def gradients(
        self, groups: Unroll, hyperparameters: Hyperparameters
    ) -> tuple[tf.Tensor, list[tf.Tensor], list[tf.Tensor]]:
        """Returns places, the objective's metrics and a gradient for each variable that learns, for `Learner.apply`.

        groups: a batch in groups.
        """
        inputs = [*tf.nest.flatten(groups), hyperparameters.as_tensor()]
        if self._call is None:
            self._call = direct_call(lambda *x: self._function(tf.nest.pack_sequence_as(groups, x[:-1]), x[-1]), inputs)
        places, *outputs = self._call(inputs)
        num_metrics = len(self._objective.metric_names)
        return places, outputs[:num_metrics], outputs[num_metrics:]

    def _graph(self, groups: Unroll, hyperparameters: tf.Tensor) -> list[tf.Tensor]:
        costs = Hyperparameters(*tf.unstack(hyperparameters)).costs
        batch = join_groups(groups)
        evaluated = self._objective.evaluate(batch, all_fresh(batch.task.shape[0]), costs, None)
        places = tf.concat([finite.state_marks(self._objective.agent), evaluated.batch_marks], axis=0)
        return [places, *evaluated.metrics, *evaluated.gradients]
