"""What travels between the parts, and the index convention that all of them rely on.

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

# A numpy array where the environments and the actors hold it, a tf.Tensor from the queue on.
Array = Any


class EnvOutput(NamedTuple):
    """What a vector of B environments emits at one row ([B, ...]), or over an unroll ([T + 1, B, ...]).

    reward: float32, of the step into this row, unclipped; 0 at `first` rows.
    terminated: bool, the episode ended here and there is no future reward.
    truncated: bool, the episode was cut off here (a time limit), though it could have gone on.
    first: bool, this row begins an episode.
    observation: the observation space's dtype and shape; of a Dict or Tuple space a nest of arrays, of a Text bytes.
    episode_return: float32, undiscounted sum of the rewards of this episode up to here.
    episode_steps: int32, agent steps of this episode up to here.
    discounted_return: float32, the sum of gamma^k times the reward k steps ago, of this episode; its spread is what
        --normalise_returns divides by.
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
    """One call of the policy on B environments.

    action: [B, ...] the action space's dtype, sampled from the policy.
    parameters: [B, P] float32, of the action distribution (logits for discrete actions).
    baseline: [B] float32, the value estimate V.
    core_state: [B, S] float32, after this row; S is 0 for a network without a core.
    """

    action: Array
    parameters: Array
    baseline: Array
    core_state: Array


class Unroll(NamedTuple):
    """T steps of B environments: what an actor puts into the queue and the learner learns from.

    env_outputs: EnvOutput, [T + 1, B, ...].
    actions: [T, B, ...], chosen at rows 0 to T - 1.
    behaviour_parameters: [T, B, P] float32, of the distributions that those actions were sampled from.
    last_action: [B, ...], the action before row 0.
    core_state: [B, S] float32, before row 0.
    policy_version: [B] int64, the learner's update count of the weights that acted.
    actor: [B] int32, which actor made it.
    task: [B] int32, which of the run's tasks it is from.
    """

    env_outputs: EnvOutput
    actions: Array
    behaviour_parameters: Array
    last_action: Array
    core_state: Array
    policy_version: Array
    actor: Array
    task: Array


class NetworkOutputs(NamedTuple):
    """What a network says about the rows of an unroll.

    parameters: [T + 1, B, P] float32, parameters of the policy's action distribution.
    baselines: [T + 1, B] float32, value estimates V.
    """

    parameters: Array
    baselines: Array


class LossCosts(NamedTuple):
    """Weights of the terms of a loss, scalars float32; inputs of the learner's graph, so they may change in a run.

    entropy: weight of the entropy bonus (--entropy_cost).
    baseline: weight of the baseline loss (--baseline_cost).
    """

    entropy: Array
    baseline: Array


TIME_MAJOR_FIELDS = ("env_outputs", "actions", "behaviour_parameters")


@dataclasses.dataclass(frozen=True)  # No tuple: it is a leaf of nests.
class ArraySpec:
    """Shape (without T and B) and numpy dtype of one leaf; texts are bytes in arrays of objects."""

    shape: tuple[int, ...]
    dtype: Any
