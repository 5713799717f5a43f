"""Defines what travels between the components of a run, and the index convention that all of them rely on.

An unroll has T + 1 rows. Row t: the environment emitted (reward, terminated, truncated, first, observation) as the
result of action t - 1; then the agent chose action t. Row T is row 0 of that environment's next unroll and only
bootstraps. Batches are time-major, [T + 1, B, ...]. The core state stored with an unroll is the one *before* row 0.

Episode ends follow gymnasium's NEXT_STEP autoreset: the row that ends an episode carries its final observation; the
next step ignores its action and emits the first observation of the new episode, marked `first`. The transition into a
`first` row is not a real step, so step t is valid when row t + 1 is not `first`.

In this file and everywhere else T, B and A name dimensions: rows, environments, actions.
"""

import dataclasses
from typing import Any, NamedTuple

ABORTED = -1  # It stands for the 0 steps of a `first` row after an episode that was not played to its end.

# This is a numpy array where the environments and the actors hold it, and a tf.Tensor from the queue on.
Array = Any


class EnvOutput(NamedTuple):
    """A vector of B environments emits this at one row ([B, ...]), or over an unroll ([T + 1, B, ...]).

    reward: float32, reward of the step into this row, unclipped; 0 at `first` rows.
    terminated: bool, whether the episode ended here, so that there is no future reward.
    truncated: bool, whether the episode was cut off here (a time limit), though it could have gone on.
    first: bool, whether this row begins an episode.
    observation: array in the observation space's dtype and shape; for a Dict or Tuple space a nest of arrays, for a
        Text space bytes.
    episode_return: float32, undiscounted sum of the rewards of this episode up to here.
    episode_steps: int32, agent steps of this episode up to here; ABORTED at a `first` row before which no episode
        ended, because the environment failed and was made anew.
    discounted_return: float32, sum over this episode of gamma^k times the reward k steps ago; --normalise_returns
        divides rewards by its standard deviation.
    """

    reward: Array
    terminated: Array
    truncated: Array
    first: Array
    observation: Array
    episode_return: Array
    episode_steps: Array
    discounted_return: Array


class PolicyStep(NamedTuple):
    """This is what one call of the policy on B environments returns.

    action: [B, ...] in the action space's dtype, sampled from the policy.
    parameters: [B, P] float32, parameters of the action distribution (logits for discrete actions).
    baseline: [B] float32, the value estimate V; with --popart and K tasks [B, K], a V of each task.
    core_state: [B, S] float32, state after this row; S is 0 for a network without a core.
    """

    action: Array
    parameters: Array
    baseline: Array
    core_state: Array


class Unroll(NamedTuple):
    """T steps of B environments, which an actor puts into the queue and the learner learns from, are an unroll.

    env_outputs: EnvOutput of arrays [T + 1, B, ...], the rows.
    actions: [T, B, ...], actions chosen at rows 0 to T - 1.
    behaviour_parameters: [T, B, P] float32, parameters of the distributions that those actions were sampled from.
    behaviour_baselines: [T, B, N] float32, values V that the network gave at those rows; N is 1, or 0 where nothing
        needs them.
    last_action: [B, ...], action before row 0.
    core_state: [B, S] float32, state before row 0.
    policy_version: [B] int64, the learner's update count when it published the weights that acted.
    actor: [B] int32, index of the actor that made the unroll.
    task: [B] int32, index of the task that the environment belongs to.
    """

    env_outputs: EnvOutput
    actions: Array
    behaviour_parameters: Array
    behaviour_baselines: Array
    last_action: Array
    core_state: Array
    policy_version: Array
    actor: Array
    task: Array


class NetworkOutputs(NamedTuple):
    """A network says this about the rows of an unroll.

    parameters: [T + 1, B, P] float32, parameters of the policy's action distribution.
    baselines: [T + 1, B] float32, value estimates V.
    """

    parameters: Array
    baselines: Array


class LossCosts(NamedTuple):
    """The terms of a loss have these weights. They are inputs of the learner's graph, so they may change in a run.

    entropy: [] float32, weight of the entropy bonus (--entropy_cost).
    baseline: [] float32, weight of the baseline loss (--baseline_cost).
    kl: [] float32, weight of KL(reference policy || pi), for algorithms that have one (--kl_cost).
    teacher: [] float32, weight of the KL from the teacher (--teacher_cost).
    """

    entropy: Array
    baseline: Array
    kl: Array
    teacher: Array


class Marks(NamedTuple):
    """The source of a batch says this about each of its B unrolls.

    is_fresh: [B] bool, whether the unroll comes straight from an actor and not from a replay buffer.
    weight: [B] float32, factor of the unroll's losses.
    """

    is_fresh: Array
    weight: Array


class Intrinsic(NamedTuple):
    """An intrinsic motivation says this about the rows of a batch. Its rewards are a second stream beside the task's.

    The stream goes on over the ends of episodes: the step that resets the environment is a step like any other.

    error: [T + 1, B] float32, prediction errors, whose gradient trains the predictor.
    reward: [T + 1, B] float32, intrinsic rewards, without a gradient.
    baselines: [T + 1, B] float32, estimates of the discounted sums of these rewards.
    discounting: discount of the stream.
    scale: weight of the stream's advantages.
    """

    error: Array
    reward: Array
    baselines: Array
    discounting: float
    scale: float


class LossInputs(NamedTuple):
    """A loss is computed from these. The batch has B unrolls of T steps in the convention above.

    unroll: batch of unrolls [T + 1, B, ...]; rewards are scaled already (--normalise_returns).
    outputs: what the learner's network says at every row.
    target: what the target network says, without a gradient; None unless the algorithm's `Needs` ask for it.
    distribution: the `spaces.distributions.ActionDistribution` whose parameters the networks give.
    costs: weights of the loss's terms.
    marks: marks of the unrolls.
    network_reward: [T + 1, B] float32, rewards as networks see them, neither shaped nor scaled.
    intrinsic: intrinsic rewards and what belongs to them; None without an intrinsic motivation.
    """

    unroll: Unroll
    outputs: NetworkOutputs
    target: NetworkOutputs | None
    distribution: Any
    costs: LossCosts
    marks: Marks
    network_reward: Array
    intrinsic: Intrinsic | None = None


class Loss(NamedTuple):
    """An algorithm's loss is returned as this.

    total: [] float32, the loss, which the learner differentiates.
    advantage_tm1: [T, B] float32, advantages of the steps; no gradient flows into them.
    metrics: scalars, float32, by the names in `Algorithm.metric_names`.
    vs_tm1: [T, B] float32, targets of the baseline, which --popart needs; None for an algorithm without them.
    """

    total: Array
    advantage_tm1: Array
    metrics: dict[str, Array]
    vs_tm1: Array | None = None


class Needs(NamedTuple):
    """An algorithm declares what it needs beside batches and the learner's network.

    target_period: number of updates between two copies of the weights to the target network; 0 means none.
    buffer_batches: N, number of batches in the circular buffer.
    batch_uses: K, number of times that a batch is learned from.
    minibatches: M, number of parts of B / M unrolls that a batch is cut into; each use is an update for each part.
    """

    target_period: int = 0
    buffer_batches: int = 1
    batch_uses: int = 1
    minibatches: int = 1


TIME_MAJOR_FIELDS = ("env_outputs", "actions", "behaviour_parameters", "behaviour_baselines")


@dataclasses.dataclass(frozen=True)  # It is no tuple, because it is a leaf of nests.
class ArraySpec:
    """One leaf of a nest has this shape (without T and B) and numpy dtype; texts are bytes in arrays of objects."""

    shape: tuple[int, ...]
    dtype: Any
