"""Declares the settings of learning/."""

import dataclasses

from impala_tf.settings.setting import CODE, COMMON, PAPER, above, at_least, between, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """The optimizer takes a step for each batch, in a compiled update."""

    learning_rate: float = setting(
        3e-3,
        "Learning rate at the start; it falls linearly to 0.",
        "",
        f"{PAPER}: 6e-4 on Atari",
        bounds=above(0),
        roles=(COMMON,),
    )
    decay: float = setting(0.99, "RMSProp: decay of the mean square.", source=f"{CODE}: 0.99", bounds=between(0, 1))
    momentum: float = setting(0.0, "RMSProp: momentum.", source=f"{PAPER}: 0", bounds=between(0, 1))
    epsilon: float = setting(
        0.01, "RMSProp: added inside the square root.", source=f"{PAPER}: 0.01 on Atari", bounds=above(0)
    )
    initial_mean_square: float = setting(
        1.0,
        "RMSProp: mean square before the first update; 0 makes the first hundreds of updates larger.",
        source="TensorFlow 1, which the paper used: 1",
        bounds=at_least(0),
    )
    clip_norm: float = setting(
        40.0,
        "Gradients are scaled to this global norm at most.",
        source=f"{PAPER}: 40",
        bounds=above(0),
        roles=(COMMON,),
    )
    xla: str = setting("auto", "Compile the update with XLA. auto: where it was faster.", choices=("auto", "on", "off"))


def linear_decay(learning_rate: float, environment_frames: int, total_environment_frames: int) -> float:
    """Returns the learning rate after some frames of the budget: it falls linearly, to 0 at the end."""
    return learning_rate * max(0.0, 1.0 - environment_frames / total_environment_frames)
