"""Has the loss that draws a policy to a teacher's (Schmitt et al. 2018, kickstarting)."""

from collections.abc import Callable

import tensorflow as tf

from impala_tf.algorithms import losses
from impala_tf.algorithms.transitions import transitions
from impala_tf.types import LossInputs, NetworkOutputs


class Distillation:
    """This `interfaces.Term` is the teacher's cost times the sum of KL(teacher || policy) over the valid steps.

    teacher: function that returns the teacher's parameters [T + 1, B, P] at the rows of a batch.

    metric_names: teacher_loss is the term; teacher_kl is the mean KL of the valid steps, nats.
    """

    metric_names = ("teacher_loss", "teacher_kl")

    def __init__(self, teacher: Callable[[LossInputs], tf.Tensor]):
        self._teacher = teacher

    def loss(self, inputs: LossInputs) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the term [] float32 and its metrics; no gradient flows into the teacher."""
        parameters = tf.stop_gradient(self._teacher(inputs))
        outputs = NetworkOutputs(parameters, inputs.outputs.baselines)
        # The discount is not used: only the shift from rows to steps is.
        student = transitions(inputs, discounting=1.0)
        teacher = transitions(inputs._replace(outputs=outputs), discounting=1.0)
        kl_tm1 = inputs.distribution.kl(teacher.parameters_tm1, student.parameters_tm1)
        loss = inputs.costs.teacher * losses.weighted_sum(kl_tm1, student.weight_tm1)
        return loss, dict(teacher_loss=loss, teacher_kl=losses.masked_mean(kl_tm1, student.valid_tm1))
