"""Computes the losses of a batch of unrolls and their gradients."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from impala_tf.algorithms.transitions import last_actions
from impala_tf.config import SettingError
from impala_tf.interfaces import Algorithm, Motivation, Term
from impala_tf.learning import finite
from impala_tf.networks import Agent
from impala_tf.support.messages import with_place
from impala_tf.types import LossCosts, LossInputs, Marks, NetworkOutputs, Unroll


class Evaluated(NamedTuple):
    """The objective of a batch is returned as this.

    metrics: [] float32 tensors in the order of `Objective.metric_names`.
    gradients: gradient of the first metric, the total, to each of the agent's variables that learn.
    advantage_tm1: [T, B] float32, the algorithm's advantages.
    vs_tm1: [T, B] float32, the algorithm's targets of the baseline; None for one without them.
    motivation_gradients: gradient of the total to each of the motivation's variables.
    batch_marks: [len(finite.BATCH)] float32, what is not finite in the batch, see `finite.batch_marks`.
    """

    metrics: list[tf.Tensor]
    gradients: list[tf.Tensor]
    advantage_tm1: tf.Tensor
    vs_tm1: tf.Tensor | None
    motivation_gradients: list[tf.Tensor]
    batch_marks: tf.Tensor


class Objective:
    """The objective is the sum of an algorithm's loss and additional terms, under an agent's weights.

    shape_rewards: function of the same name of `impala_tf.train`; None leaves rewards as they are.
    motivation: motivation that gives intrinsic rewards; None means that there are none.

    agent: the agent.
    metric_names: names of the metrics, of which the first is the total.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        agent: Agent,
        terms: Sequence[Term] = (),
        shape_rewards: Callable[[Unroll], tf.Tensor] | None = None,
        motivation: Motivation | None = None,
    ):
        self.algorithm = algorithm
        self._motivation = motivation
        self._shape_rewards = shape_rewards
        self.agent = agent
        self._terms = (*terms, motivation) if motivation else tuple(terms)
        self._parts: tuple[Algorithm | Term, ...] = (algorithm, *self._terms)
        self.metric_names = ("total", *(name for part in self._parts for name in part.metric_names))

    def of(self, agent: Agent) -> "Objective":
        """Returns the same objective of another agent's weights."""
        assert self._motivation is None, "a motivation's variables are shared"
        return Objective(self.algorithm, agent, self._terms, self._shape_rewards)

    def evaluate(self, batch: Unroll, marks: Marks, costs: LossCosts, target_weights: tf.Tensor | None) -> Evaluated:
        """Computes the objective of a batch [T + 1, B, ...] and its gradients.

        target_weights: [num_parameters] float32, flat weights of the target network, if the algorithm needs one.

        Gradients are dense. TensorFlow gives an embedding's as slices, a list of rows in which a row may come twice:
        A3C could not hand slices on, and their global norm would not add up equal rows.
        """
        with tf.GradientTape() as tape:
            inputs = self._inputs(batch, marks, costs, target_weights)
            loss = self.algorithm.loss(inputs)
            if loss.vs_tm1 is None and self.agent.has_value_statistics:
                name = type(self.algorithm).__name__
                raise SettingError(
                    f"--popart=true: {name} gives no targets of the baseline (Loss.vs_tm1); leave it out"
                )
            terms = [term.loss(inputs) for term in self._terms]
            total = tf.add_n([loss.total, *(term for term, _ in terms)])
        variables = [variable.value for variable in self.agent.learning_variables]
        new = self._motivation.variables if self._motivation else []
        gradients = tape.gradient(total, [*variables, *new], unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        metrics = [total]
        for part, values in zip(self._parts, (loss.metrics, *(values for _, values in terms)), strict=True):
            names = type(part).__name__, sorted(values), sorted(part.metric_names)
            assert names[1] == names[2], f"{names[0]}.loss returns the metrics {names[1]}, not metric_names {names[2]}"
            metrics += [values[name] for name in part.metric_names]
        num = len(variables)
        marks_of_batch = finite.batch_marks(batch, inputs.unroll.env_outputs.reward, inputs.outputs)
        return Evaluated(metrics, gradients[:num], loss.advantage_tm1, loss.vs_tm1, gradients[num:], marks_of_batch)

    def _inputs(self, batch: Unroll, marks: Marks, costs: LossCosts, target_weights: tf.Tensor | None) -> LossInputs:
        agent, rows = self.agent, batch.env_outputs
        # Both networks' values are scaled by the learner's statistics, also where the target's weights have older ones.
        value_scale = agent.value_scale(batch.task)

        def network() -> NetworkOutputs:
            last_action = last_actions(batch)
            parameters, values = agent.unroll(
                rows.observation, rows.reward, last_action, rows.first, batch.core_state, batch.task
            )
            return NetworkOutputs(parameters, values * value_scale)

        outputs, target = network(), None
        if target_weights is not None:
            with agent.with_flat_weights(target_weights):
                target = tf.nest.map_structure(tf.stop_gradient, network())
        # Networks see rewards as they are; losses see them in units of the task's returns (--normalise_returns) or of
        # the baseline's targets (--popart).
        reward = shaped_rewards(self._shape_rewards, batch) if self._shape_rewards else rows.reward
        scaled = rows._replace(reward=reward * agent.reward_scale(batch.task))
        unroll = batch._replace(env_outputs=scaled)
        intrinsic = self._motivation.observe(batch, marks) if self._motivation else None
        return LossInputs(unroll, outputs, target, agent.distribution, costs, marks, rows.reward, intrinsic)


def shaped_rewards(shape_rewards: Callable[[Unroll], tf.Tensor], batch: Unroll) -> tf.Tensor:
    """Returns the rewards [T + 1, B] that the user's function makes of a batch.

    Raises SettingError when it fails or returns anything else.
    """
    try:
        rewards = tf.convert_to_tensor(shape_rewards(batch))
    except Exception as error:
        raise SettingError(f"shape_rewards: failed: {with_place(error)}") from error
    wanted = batch.env_outputs.reward.shape
    if rewards.dtype != tf.float32 or not wanted.is_compatible_with(rewards.shape):
        given = f"{rewards.dtype.name} {rewards.shape}"
        raise SettingError(f"shape_rewards: returned {given}; must be the rewards of all rows, float32 {wanted}")
    return tf.stop_gradient(rewards)
