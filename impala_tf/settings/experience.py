"""Declares the settings of experience/."""

import dataclasses

from impala_tf.settings.setting import CODE, COMMON, PAPER, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperienceSettings:
    """Unrolls travel from the actors to the learner, and weights travel back."""

    unroll_length: int = setting(
        20,
        "T, steps in an unroll.",
        "agent steps",
        f"{PAPER}: 20 on Atari, 100 on DMLab",
        bounds=at_least(1),
        roles=(COMMON,),
    )
    batch_size: int = setting(
        32,
        "B, unrolls in a batch; with a2c_* those of all environments, with a3c those of one actor.",
        "unrolls",
        f"{PAPER}: 32",
        bounds=at_least(1),
        roles=(COMMON,),
    )
    queue_capacity: int = setting(
        0,
        "Unrolls that may wait for the learner, rounded down to whole groups (unroll_queue.py) but at least one; 0: "
        "one batch.",
        "unrolls",
        f"{CODE}: 1",
        bounds=at_least(0),
    )
    policy_lag: int = setting(
        0,
        "Makes actors use weights this many updates old, for experiments (figure E.1).",
        "updates",
        PAPER,
        bounds=at_least(0),
    )
