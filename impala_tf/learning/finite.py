"""Finds out whether an update is finite, and where it is not, what went first.

An update reads weights, statistics of normalisation, and a batch with observations and rewards. The network makes
outputs of these, the algorithm ratios, value errors and the other losses, and the optimizer new weights of their
gradient. What is computed from NaN or infinity is mostly not finite either, so the first in this order is the cause.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.interfaces import Motivation
from impala_tf.networks import Agent
from impala_tf.support.diverged import Diverged
from impala_tf.types import NetworkOutputs, Unroll

# An update is looked at in these places by the device, in the order in which one depends on another.
STATE = ("weights", "statistics of normalisation")
BATCH = ("observation", "reward", "network's outputs")
PLACES = (*STATE, *BATCH)

MAX_SKIPPED = 10  # The run ends when so many updates in a row were not finite (--on_nonfinite=skip).

_ADVICE = {
    "weights": "the network's initial weights or those of --init_from may be wrong",
    "statistics of normalisation": "what is normalised is too large for float32; scale it in the environment",
    "observation": "replace it in the environment",
    "reward": "replace it in the environment or in shape_rewards, or give --reward_clipping=abs_one",
}
_SMALLER_STEPS = "a lower --learning_rate or --clip_norm, or --reward_clipping=abs_one may help"


class Outcome(NamedTuple):
    """An update that is not finite is described by this, in numpy arrays.

    places: [L, len(PLACES)] float32, 1 where one of the L learners found something that is not finite.
    metrics: metrics of the joined batch, by name.
    new_weights, new_statistics: what the update made of the agent's.
    """

    places: np.ndarray
    metrics: Mapping[str, float]
    new_weights: np.ndarray
    new_statistics: np.ndarray


def are_finite(tensors: Sequence[Any]) -> tf.Tensor:
    """Returns whether every number of the tensors is finite, [] bool."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in tensors])


def state_marks(agent: Agent, motivation: Motivation | None = None) -> tf.Tensor:
    """Returns [len(STATE)] float32, 1 where weights or statistics of the agent or the motivation are not finite."""
    others = motivation.named_variables() if motivation else {}
    weights, statistics = (
        [variable.value for name, variable in others.items() if f"/{kind}/" in name]
        for kind in ("weights", "statistics")
    )
    return _marks([[*agent.variables, *weights], [*agent.statistics, *statistics]])


def batch_marks(batch: Unroll, reward: tf.Tensor, outputs: NetworkOutputs) -> tf.Tensor:
    """Returns [len(BATCH)] float32, 1 where a batch [T + 1, B, ...] has something that is not finite.

    reward: [T + 1, B] float32, rewards that are learned from. outputs: what the learner's network says.
    """
    observation = [x for x in tf.nest.flatten(batch.env_outputs.observation) if x.dtype.is_floating]
    return _marks([observation, [batch.env_outputs.reward, reward], outputs])


def _marks(groups: Sequence[Sequence[Any]]) -> tf.Tensor:
    found = [tf.logical_not(are_finite(group)) if len(group) else tf.constant(False) for group in groups]
    return tf.cast(tf.stack(found), tf.float32)


def what_went_first(outcome: Outcome, config: Config) -> str:
    """Says in words what was not finite first, and what may help."""
    first = _first(outcome, config)
    learners = np.flatnonzero(outcome.places[:, PLACES.index(first)]) if first in BATCH else np.zeros(0, int)
    of_learner = f" of learner {learners[0]}" if len(outcome.places) > 1 and len(learners) else ""
    return f"{first}{of_learner} went first; {_ADVICE.get(first, _SMALLER_STEPS)}"


def _first(outcome: Outcome, config: Config) -> str:
    wrong = {name for name, value in outcome.metrics.items() if not np.isfinite(value)}
    has_bad_statistics = not np.isfinite(outcome.new_statistics).all()
    for i, name in enumerate(PLACES):
        # A batch spoils its statistics before the network reads them; PopArt's are of targets, which come after it.
        if name == BATCH[-1] and has_bad_statistics and not config.popart:
            return STATE[1]
        if outcome.places[:, i].any():
            return name
    if np.isnan(outcome.metrics.get("ratio_mean", 0.0)) or ("ratio_max" in wrong and _can_ratios_be_infinite(config)):
        return "ratio"
    if "baseline" in wrong:
        return "value error"
    if "total" in wrong:
        losses = sorted(wrong - {"total", "gradient_norm", "ratio_mean", "ratio_max"})
        return f"loss ({', '.join(losses)})" if losses else "loss"
    if "gradient_norm" in wrong:
        return "gradient"
    return STATE[1] if has_bad_statistics else "step to the new weights"


def _can_ratios_be_infinite(config: Config) -> bool:
    """Returns whether an infinite ratio reaches a loss. IMPALA's are clipped by finite thresholds."""
    thresholds = config.clip_rho_threshold, config.clip_c_threshold, config.clip_pg_rho_threshold
    return config.algorithm != "impala" or max(thresholds) == np.inf


def check_weights(agent: Agent) -> None:
    """Raises Diverged when the weights or statistics with which a run begins are not finite."""
    for name, variable in agent.variables_by_part().items():
        if not np.isfinite(np.asarray(variable.value)).all():
            raise Diverged(f"before the first update {name} is not finite; {_ADVICE['weights']}")
