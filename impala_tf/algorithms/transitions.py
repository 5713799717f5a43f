"""Does the shift from the rows of an unroll to its steps. No other file moves an index.

Step t leads from row t - 1 to row t (see `types.py`): the action chosen at row t - 1 brought the reward, the end of the
episode and the observation of row t. In the names that come out of here `_tm1` belongs to the row before the step and
`_t` to what the step led to, as in DeepMind's rlax.
"""

from typing import NamedTuple

import tensorflow as tf

from impala_tf.support.checks import check_tensor
from impala_tf.types import NetworkOutputs, Unroll


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
    """

    reward_t: tf.Tensor
    discount_t: tf.Tensor
    valid_tm1: tf.Tensor
    action_tm1: tf.Tensor
    behaviour_parameters_tm1: tf.Tensor
    parameters_tm1: tf.Tensor
    value_tm1: tf.Tensor
    value_t: tf.Tensor


def transitions(
    unroll: Unroll,
    outputs: NetworkOutputs,
    *,
    discounting: float,
    reward_clipping: str = "none",
    bootstrap_at_time_limits: bool = True,
) -> Transitions:
    """Shifts an unroll [T + 1, B, ...] into its T steps.

    outputs: parameters and baselines of the learner's network at every row.
    discounting: gamma.
    reward_clipping: argument `how` of `clip_rewards`.
    bootstrap_at_time_limits: False takes a time limit for an end, as the released code does.

    Raises ValueError when a dtype or a known shape is wrong.
    """
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

    terminated_t = rows.terminated[1:]
    if not bootstrap_at_time_limits:
        terminated_t |= rows.truncated[1:]
    return Transitions(
        reward_t=clip_rewards(rows.reward[1:], reward_clipping),
        discount_t=discounting * tf.cast(tf.logical_not(terminated_t), tf.float32),
        # The transition into a `first` row is the environment's reset.
        valid_tm1=tf.logical_not(rows.first[1:]),
        action_tm1=unroll.actions,
        behaviour_parameters_tm1=behaviour,
        parameters_tm1=outputs.parameters[:-1],
        value_tm1=outputs.baselines[:-1],
        value_t=outputs.baselines[1:],
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
