"""Has what IMPALA, IMPACT and PPO share: a policy loss on advantages, a baseline on V-trace, and an entropy bonus."""

import dataclasses
import math
from typing import ClassVar, NamedTuple, Self

import tensorflow as tf

from impala_tf.algorithms import losses, vtrace
from impala_tf.algorithms.transitions import Transitions, intrinsic_transitions, transitions
from impala_tf.algorithms.trust_region import trusted_steps
from impala_tf.algorithms.vtrace import VTraceReturns
from impala_tf.config import Config
from impala_tf.types import Loss, LossInputs, Needs


class LogProbs(NamedTuple):
    """These are the log-probabilities of the actions of T steps, each [T, B] float32, nats.

    policy: log pi, of the learner's policy.
    behaviour: log mu, of the policy that acted.
    target: that of the target network's policy; None for an algorithm without one.
    """

    policy: tf.Tensor
    behaviour: tf.Tensor
    target: tf.Tensor | None


class Learned(NamedTuple):
    """This is what V-trace makes of rewards.

    advantage_tm1: [T, B] float32, advantages; with intrinsic rewards the weighted sum of both streams'.
    baseline_loss: [] float32, sum of the baseline's losses, of both streams' baselines.
    vs_tm1: [T, B] float32, targets of the task's baseline.
    """

    advantage_tm1: tf.Tensor
    baseline_loss: tf.Tensor
    vs_tm1: tf.Tensor


@dataclasses.dataclass(frozen=True)
class ActorCritic:
    """An actor-critic is an `interfaces.Algorithm` whose subclasses say what its policy loss is.

    The fields are settings of the same names. A subclass defines `correction`, `advantages` and `policy_loss`.

    default_needs: declaration of what the algorithm needs where the settings are 0.
    metric_names: names of the metrics. policy_gradient, baseline and entropy are the terms of the loss, each the *sum*
        over T and B of the valid steps (caption of table D.1). mean_entropy is the mean entropy of the policy over
        the valid steps, nats; replayed ones count only where all are. The others are fields of
        `losses.RatioStatistics` of pi / mu.
    """

    discounting: float = 0.99
    reward_clipping: str = "none"
    bootstrap_at_time_limits: bool = True
    clip_rho_threshold: float = 1.0
    clip_c_threshold: float = 1.0
    clip_pg_rho_threshold: float = 1.0
    vtrace_lambda: float = 1.0
    normalise_advantages: bool = False
    trust_region: float = math.inf
    buffer_batches: int = 0
    batch_uses: int = 0
    minibatches: int = 0

    default_needs: ClassVar[Needs] = Needs()
    metric_names: ClassVar[tuple[str, ...]] = (
        "policy_gradient",
        "baseline",
        "entropy",
        "mean_entropy",
        "ratio_mean",
        "ratio_max",
        "ratio_min",
        "ratio_clipped_fraction",
    )

    @classmethod
    def from_config(cls, config: Config) -> Self:
        return cls(**{field.name: getattr(config, field.name) for field in dataclasses.fields(cls)})

    @property
    def needs(self) -> Needs:
        """Returns `default_needs`, with those that were given."""
        given = dict(buffer_batches=self.buffer_batches, batch_uses=self.batch_uses, minibatches=self.minibatches)
        return self.default_needs._replace(**{name: value for name, value in given.items() if value})

    def correction(self, log_probs: LogProbs) -> tf.Tensor:
        """Returns the log importance ratios [T, B] float32 by which V-trace corrects the returns."""
        raise NotImplementedError

    def advantages(self, returns: VTraceReturns, steps: Transitions) -> tf.Tensor:
        """Returns the advantages [T, B] float32 of the policy loss."""
        raise NotImplementedError

    def policy_loss(
        self, inputs: LossInputs, steps: Transitions, log_probs: LogProbs, advantage_tm1: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the policy's loss of each step, [T, B] float32, and the subclass's own metrics."""
        raise NotImplementedError

    def loss(self, inputs: LossInputs) -> Loss:
        """Returns the loss of a batch of unrolls under the learner's policy and baseline.

        Raises ValueError when a dtype or a known shape is wrong.
        """
        steps = transitions(
            inputs,
            discounting=self.discounting,
            reward_clipping=self.reward_clipping,
            bootstrap_at_time_limits=self.bootstrap_at_time_limits,
        )
        if self.trust_region < math.inf:
            trusted_tm1 = trusted_steps(steps, inputs.distribution, self.trust_region)
            steps = steps._replace(trusted_tm1=trusted_tm1)
        log_probs = self._log_probs(inputs, steps)
        learned = self._learned(inputs, steps, log_probs)
        advantage_tm1 = learned.advantage_tm1
        scaled_tm1 = losses.normalised(advantage_tm1, steps.valid_tm1) if self.normalise_advantages else advantage_tm1
        policy_tm1, own_metrics = self.policy_loss(inputs, steps, log_probs, scaled_tm1)
        entropy_tm1 = inputs.distribution.entropy(steps.parameters_tm1)

        policy = losses.weighted_sum(policy_tm1, steps.weight_tm1 * steps.trusted_tm1)
        baseline = inputs.costs.baseline * learned.baseline_loss
        fresh_tm1 = steps.fresh_tm1
        entropy = inputs.costs.entropy * losses.masked_sum(losses.entropy_loss(entropy_tm1), fresh_tm1)
        log_rho_tm1 = tf.stop_gradient(log_probs.policy - log_probs.behaviour)
        metrics = (
            policy,
            baseline,
            entropy,
            losses.masked_mean(entropy_tm1, tf.where(tf.reduce_any(fresh_tm1), fresh_tm1, steps.valid_tm1)),
            *losses.ratio_statistics(log_rho_tm1, steps.valid_tm1, self.clip_rho_threshold),
        )
        named = dict(zip(ActorCritic.metric_names, metrics, strict=True))
        return Loss(policy + baseline + entropy, advantage_tm1 * steps.trusted_tm1, named | own_metrics, learned.vs_tm1)

    def _log_probs(self, inputs: LossInputs, steps: Transitions) -> LogProbs:
        def log_prob(parameters_tm1: tf.Tensor) -> tf.Tensor:
            return inputs.distribution.log_prob(parameters_tm1, steps.action_tm1)

        return LogProbs(
            policy=log_prob(steps.parameters_tm1),
            behaviour=log_prob(steps.behaviour_parameters_tm1),
            target=None if inputs.target is None else log_prob(inputs.target.parameters[:-1]),
        )

    def _learned(self, inputs: LossInputs, steps: Transitions, log_probs: LogProbs) -> Learned:
        """Returns what is learned from the task's rewards, and from intrinsic ones where there are any."""
        # The action of an invalid step was ignored. Only the intrinsic stream counts such steps.
        log_rho_tm1 = tf.stop_gradient(tf.where(steps.valid_tm1, self.correction(log_probs), 0.0))

        def of(stream: Transitions) -> Learned:
            returns = self._returns(stream, log_rho_tm1)
            loss_tm1 = losses.baseline_loss(returns.vs_tm1, stream.value_tm1)
            advantage_tm1 = tf.stop_gradient(self.advantages(returns, stream))
            loss = losses.weighted_sum(loss_tm1, stream.weight_tm1 * stream.trusted_tm1)
            return Learned(advantage_tm1, loss, returns.vs_tm1)

        task = of(steps)
        if inputs.intrinsic is None:
            return task
        new = of(intrinsic_transitions(steps, inputs.intrinsic, inputs.marks))
        new_advantage_tm1 = inputs.intrinsic.scale * tf.where(steps.valid_tm1, new.advantage_tm1, 0.0)
        return Learned(task.advantage_tm1 + new_advantage_tm1, task.baseline_loss + new.baseline_loss, task.vs_tm1)

    def _returns(self, steps: Transitions, log_rho_tm1: tf.Tensor) -> VTraceReturns:
        return vtrace.from_importance_weights(
            log_rho_tm1,
            steps.discount_t,
            steps.reward_t,
            steps.value_tm1,
            steps.value_t,
            steps.valid_tm1,
            clip_rho_threshold=self.clip_rho_threshold,
            clip_c_threshold=self.clip_c_threshold,
            clip_pg_rho_threshold=self.clip_pg_rho_threshold,
            lambda_=self.vtrace_lambda * steps.trusted_tm1,
        )
