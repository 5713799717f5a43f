"""Does the shift from the rows of an unroll to its steps. No other file moves an index.

Step t leads from row t - 1 to row t (see `types.py`): the action chosen at row t - 1 brought the reward, the end of the
episode and the observation of row t. In the names that come out of here `_tm1` belongs to the row before the step and
`_t` to what the step led to, as in DeepMind's rlax.
"""

from typing import NamedTuple

import tensorflow as tf

from impala_tf.support.checks import check_tensor
from impala_tf.types import Intrinsic, LossInputs, Marks, Unroll


class Transitions(NamedTuple):
    """These are the T steps of an unroll of B environments.

    reward_t: [T, B] float32, rewards of the steps, as the learner clips them.
    discount_t: [T, B] float32, gamma, or 0 where the episode terminated in the step.
    valid_tm1: [T, B] bool, False where the step only reset the environment.
    action_tm1: [T, B, ...], actions of the steps.
    behaviour_parameters_tm1: [T, B, P] float32, parameters of the policy mu that chose the actions.
    parameters_tm1: [T, B, P] float32, parameters of the learner's policy pi at the same rows.
    value_tm1: [T, B] float32, V of the rows before the steps.
    value_t: [T, B] float32, V of the rows after the steps; its last row only bootstraps.
    weight_tm1: [T, B] float32, factors of the steps' losses: those of their unrolls, 0 where not valid.
    fresh_tm1: [T, B] bool, whether the step is valid and comes straight from an actor.
    trusted_tm1: [T, B] float32, 0 for steps outside the trust region, else 1; see `trust_region.py`.
    """

    reward_t: tf.Tensor
    discount_t: tf.Tensor
    valid_tm1: tf.Tensor
    action_tm1: tf.Tensor
    behaviour_parameters_tm1: tf.Tensor
    parameters_tm1: tf.Tensor
    value_tm1: tf.Tensor
    value_t: tf.Tensor
    weight_tm1: tf.Tensor
    fresh_tm1: tf.Tensor
    trusted_tm1: tf.Tensor | float = 1.0


def transitions(
    inputs: LossInputs,
    *,
    discounting: float,
    reward_clipping: str = "none",
    bootstrap_at_time_limits: bool = True,
) -> Transitions:
    """Shifts a batch of unrolls [T + 1, B, ...] into their T steps.

    discounting: gamma.
    reward_clipping: argument `how` of `clip_rewards`.
    bootstrap_at_time_limits: False takes a time limit for an end, as the released code does.

    Raises ValueError when a dtype or a known shape is wrong.
    """
    unroll, outputs = inputs.unroll, inputs.outputs
    rows = unroll.env_outputs
    num_rows, num_envs = rows.reward.shape
    for name in ("terminated", "truncated", "first"):
        check_tensor(f"env_outputs.{name}", getattr(rows, name), tf.bool, (num_rows, num_envs))
    check_tensor("env_outputs.reward", rows.reward, tf.float32, (num_rows, num_envs))
    check_tensor("outputs.baselines", outputs.baselines, tf.float32, (num_rows, num_envs))
    check_tensor("outputs.parameters", outputs.parameters, tf.float32, (num_rows, num_envs, None))
    num_steps = None if num_rows is None else num_rows - 1
    num_parameters = outputs.parameters.shape[-1]
    behaviour = unroll.behaviour_parameters
    check_tensor("behaviour_parameters", behaviour, tf.float32, (num_steps, num_envs, num_parameters))
    check_tensor("marks.is_fresh", inputs.marks.is_fresh, tf.bool, (num_envs,))
    check_tensor("marks.weight", inputs.marks.weight, tf.float32, (num_envs,))

    terminated_t = rows.terminated[1:]
    if not bootstrap_at_time_limits:
        terminated_t |= rows.truncated[1:]
    valid_tm1 = tf.logical_not(rows.first[1:])  # The transition into a `first` row is the environment's reset.
    return Transitions(
        reward_t=clip_rewards(rows.reward[1:], reward_clipping),
        discount_t=discounting * tf.cast(tf.logical_not(terminated_t), tf.float32),
        valid_tm1=valid_tm1,
        action_tm1=unroll.actions,
        behaviour_parameters_tm1=behaviour,
        parameters_tm1=outputs.parameters[:-1],
        value_tm1=outputs.baselines[:-1],
        value_t=outputs.baselines[1:],
        weight_tm1=inputs.marks.weight * tf.cast(valid_tm1, tf.float32),
        fresh_tm1=inputs.marks.is_fresh & valid_tm1,
    )


def intrinsic_transitions(steps: Transitions, intrinsic: Intrinsic, marks: Marks) -> Transitions:
    """Returns the steps of the same unrolls with intrinsic rewards and baselines.

    Nothing ends: every step is valid and discounted, also the one that resets the environment.

    Raises ValueError when a dtype or a known shape is wrong.
    """
    num_steps, num_envs = steps.reward_t.shape
    num_rows = None if num_steps is None else num_steps + 1
    check_tensor("intrinsic.reward", intrinsic.reward, tf.float32, (num_rows, num_envs))
    check_tensor("intrinsic.baselines", intrinsic.baselines, tf.float32, (num_rows, num_envs))
    ones = tf.ones_like(steps.reward_t)
    return steps._replace(
        reward_t=intrinsic.reward[1:],
        discount_t=intrinsic.discounting * ones,
        valid_tm1=tf.ones_like(steps.valid_tm1),
        value_tm1=intrinsic.baselines[:-1],
        value_t=intrinsic.baselines[1:],
        weight_tm1=marks.weight * ones,
    )


def last_actions(unroll: Unroll) -> tf.Tensor:
    """Returns the action that led to each row, [T + 1, B, ...]: for row t the one chosen at row t - 1."""
    return tf.concat([unroll.last_action[tf.newaxis], unroll.actions], axis=0)


def clip_rewards(rewards: tf.Tensor, how: str) -> tf.Tensor:
    """Returns rewards as the learner sees them.

    rewards: float32 of any shape.
    how: none; abs_one, clip(r, -1, 1); soft_asymmetric, 5 tanh(r / 5) and for negative rewards 0.3 times that.
    """
    if how == "none":
        return rewards
    if how == "abs_one":
        return tf.clip_by_value(rewards, -1.0, 1.0)
    if how == "soft_asymmetric":
        # Deviation: this is the released code's version. The paper's figure caption prints 5 tanh(r) and 0.3 tanh(r).
        squeezed = tf.tanh(rewards / 5.0)
        return 5.0 * tf.where(rewards < 0, 0.3 * squeezed, squeezed)
    raise ValueError(f"reward clipping {how!r}: must be none, abs_one or soft_asymmetric")
