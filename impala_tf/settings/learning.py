"""Declares the settings of learning/."""

import dataclasses
import math
from typing import Any

from impala_tf.settings.setting import CODE, COMMON, PAPER, above, at_least, between, setting

MAX_BETA = 0.99999  # Adam divides by 1 - beta^t.

# These settings decide the learning rate after some frames.
LEARNING_RATE_SETTINGS = (
    *("learning_rate", "learning_rate_schedule", "warmup_frames", "schedule_frames", "total_environment_frames"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """The optimizer takes a step for each batch, in a compiled update."""

    optimizer: str = setting(
        "rmsprop",
        "The optimizer. rmsprop: TensorFlow 1's. adam. adamw: adam and --weight_decay.",
        source=f"{PAPER}: rmsprop; Kingma and Ba 2015; Loshchilov and Hutter 2019",
        choices=("rmsprop", "adam", "adamw"),
        roles=(COMMON,),
    )
    learning_rate: float = setting(
        3e-3,
        "Learning rate at the start, or after the warm-up; --learning_rate_schedule says how it goes on.",
        "",
        f"{PAPER}: 6e-4 on Atari",
        bounds=above(0),
        roles=(COMMON,),
    )
    learning_rate_schedule: str = setting(
        "linear",
        "How the learning rate goes on over --schedule_frames, and then stays. linear: it falls to 0. cosine: it falls "
        "to 0 along half a cosine. constant: it stays.",
        source=f"{PAPER}: linear",
        choices=("linear", "constant", "cosine"),
    )
    warmup_frames: int = setting(
        0,
        "The learning rate rises linearly from 0 over so many frames; the schedule follows.",
        "environment frames",
        bounds=at_least(0),
    )
    schedule_frames: int = setting(
        0,
        "The schedules of learning rate and entropy cost end after so many frames; 0: at the end of the budget.",
        "environment frames",
        bounds=at_least(0),
    )
    decay: float = setting(0.99, "RMSProp: decay of the mean square.", source=f"{CODE}: 0.99", bounds=between(0, 1))
    momentum: float = setting(0.0, "RMSProp: momentum.", source=f"{PAPER}: 0", bounds=between(0, 1))
    epsilon: float = setting(
        0.01,
        "RMSProp: added inside the square root. Adam: added to the square root, where 1e-8 to 1e-5 are usual.",
        source=f"{PAPER}: 0.01 on Atari",
        bounds=above(0),
    )
    initial_mean_square: float = setting(
        1.0,
        "RMSProp: mean square before the first update; 0 makes the first hundreds of updates larger.",
        source="TensorFlow 1, which the paper used: 1",
        bounds=at_least(0),
    )
    adam_beta_1: float = setting(
        0.9, "Adam: decay of the mean gradient.", source="Kingma and Ba 2015: 0.9", bounds=between(0, MAX_BETA)
    )
    adam_beta_2: float = setting(
        0.999, "Adam: decay of the mean square.", source="Kingma and Ba 2015: 0.999", bounds=between(0, MAX_BETA)
    )
    weight_decay: float = setting(
        0.0,
        "AdamW: each step takes this share, times the learning rate, away from all weights; at 0 it is Adam.",
        source="Loshchilov and Hutter 2019: decoupled from the gradient",
        bounds=at_least(0),
    )
    clip_norm: float = setting(
        40.0,
        "Gradients are scaled to this global norm at most.",
        source=f"{PAPER}: 40",
        bounds=above(0),
        roles=(COMMON,),
    )
    on_nonfinite: str = setting(
        "stop",
        "What an update with NaN or infinity does. stop: ends the run; the last checkpoint is exported. skip: changes "
        "nothing; 10 in a row end the run.",
        choices=("stop", "skip"),
    )
    xla: str = setting("auto", "Compile the update with XLA. auto: where it was faster.", choices=("auto", "on", "off"))


def learning_rate_factor(settings: Any, environment_frames: int) -> float:
    """Returns what the learning rate is multiplied by after some frames, 0 to 1.

    settings: an object with `LEARNING_RATE_SETTINGS`.

    Raises ZeroDivisionError or ValueError for settings that `Config` would not take.
    """
    if environment_frames < settings.warmup_frames:
        return environment_frames / settings.warmup_frames
    frames = environment_frames - settings.warmup_frames
    left = max(0.0, 1.0 - frames / (schedule_end_frames(settings) - settings.warmup_frames))
    if settings.learning_rate_schedule == "linear":
        return left
    if settings.learning_rate_schedule == "cosine":
        return 0.5 * (1.0 - math.cos(math.pi * left))
    if settings.learning_rate_schedule == "constant":
        return 1.0
    raise ValueError(f"learning rate schedule {settings.learning_rate_schedule!r}")


def entropy_cost_factor(settings: Any, environment_frames: int) -> float:
    """Returns what the entropy cost is multiplied by after some frames: from 1 it goes linearly to its end."""
    done = min(1.0, environment_frames / schedule_end_frames(settings))
    return 1.0 + (settings.entropy_cost_end_factor - 1.0) * done


def schedule_end_frames(settings: Any) -> int:
    """Returns the number of frames after which the schedules end."""
    return settings.schedule_frames or settings.total_environment_frames
