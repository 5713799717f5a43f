"""Has the controllers, which adapt a number of the next update to the metrics of the last one.

A controller keeps nothing: what it has learned is the number, which a checkpoint holds.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.learning.optimizers import Hyperparameters

# The entropy cost stays within these bounds under --target_entropy.
MIN_ENTROPY_COST, MAX_ENTROPY_COST = 1e-6, 1.0
MIN_KL_COST, MAX_KL_COST = 1e-6, 1e3  # The cost of the KL stays within these bounds under --kl_target.
MAX_GAP = 1.0  # A difference of more nats counts as this, so that no update changes the cost by much.


class Controller(Protocol):
    """A controller sets one of the `Hyperparameters` after each update.

    flag: setting that turns it on.
    controls: name of the hyperparameter.
    metric: name of the metric that it reads.
    """

    @property
    def flag(self) -> str: ...

    @property
    def controls(self) -> str: ...

    @property
    def metric(self) -> str: ...

    def next_value(self, value: float, measured: float) -> float:
        """Returns the hyperparameter for the next update. measured: metric of the update that used `value`."""


class TargetEntropy(NamedTuple):
    """This controller keeps the policy's mean entropy at --target_entropy by the entropy cost.

    log cost <- log cost + step (target - entropy): ascent on the cost as the multiplier of the constraint that the
    entropy is at least the target (Haarnoja et al. 2018, section 5), in logarithms, so that the cost stays positive.

    target: target, nats. step: --target_entropy_step.
    """

    target: float
    step: float
    flag: str = "target_entropy"
    controls: str = "entropy_cost"
    metric: str = "mean_entropy"

    def next_value(self, value: float, measured: float) -> float:
        gap = min(max(self.target - measured, -MAX_GAP), MAX_GAP)
        return min(max(value * math.exp(self.step * gap), MIN_ENTROPY_COST), MAX_ENTROPY_COST)


class TargetKl(NamedTuple):
    """This controller keeps the divergence of the policy from its reference near --kl_target by the cost of the KL.

    The cost is multiplied by 1.5 where the divergence is more than twice the target, and by 0.5 where it is less than
    half of it (RLlib's IMPACT). A cost of 0 stays 0.

    target: target, nats.
    """

    target: float
    flag: str = "kl_target"
    controls: str = "kl_cost"
    metric: str = "kl"

    def next_value(self, value: float, measured: float) -> float:
        if measured > 2.0 * self.target:
            return min(value * 1.5, MAX_KL_COST)
        return max(value * 0.5, MIN_KL_COST) if value and measured < 0.5 * self.target else value


def make_controllers(config: Config, metric_names: Sequence[str]) -> list[Controller]:
    """Makes the controllers that the settings ask for.

    metric_names: names of the metrics of an update.

    Raises SettingError when the algorithm does not report what a controller needs.
    """
    controllers: list[Controller] = []
    if config.target_entropy > -math.inf:
        controllers.append(TargetEntropy(config.target_entropy, config.target_entropy_step))
    if config.kl_target:
        controllers.append(TargetKl(config.kl_target))
    for controller in controllers:
        if controller.metric not in metric_names:
            raise SettingError(
                f"--{controller.flag}={getattr(config, controller.flag)}: needs the metric {controller.metric}, which "
                f"--algorithm={config.algorithm} does not report; leave it out"
            )
    return controllers


def adapt(
    controllers: Sequence[Controller], hyperparameters: Hyperparameters, metrics: Mapping[str, float]
) -> Hyperparameters:
    """Returns the hyperparameters of the next update. metrics: metrics of the last one, by name."""
    for controller in controllers:
        value = controller.next_value(getattr(hyperparameters, controller.controls), metrics[controller.metric])
        hyperparameters = hyperparameters._replace(**{controller.controls: value})
    return hyperparameters


def saved(hyperparameters: Hyperparameters, controllers: Sequence[Controller]) -> dict[str, np.ndarray]:
    """Returns the numbers that controllers set, by their names in a checkpoint."""
    return {_name(c): np.asarray(getattr(hyperparameters, c.controls)) for c in controllers}


def restored(
    hyperparameters: Hyperparameters, controllers: Sequence[Controller], arrays: Mapping[str, np.ndarray]
) -> Hyperparameters:
    """Gives controlled numbers their values in a checkpoint; a controller that it does not know starts anew."""
    values = {c.controls: float(arrays[_name(c)]) for c in controllers if _name(c) in arrays}
    return hyperparameters._replace(**values)


def _name(controller: Controller) -> str:
    return f"hyperparameters/{controller.controls}"
