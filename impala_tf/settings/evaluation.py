"""Declares the settings of evaluation/."""

import dataclasses

from impala_tf.settings.setting import COMMON, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Episodes are played during training, and with the export by --mode=test."""

    evaluate_every_frames: int = setting(
        0,
        "Play episodes with the newest weights in environments of their own, in between, and keep the best; 0: off.",
        "environment frames",
        bounds=at_least(0),
        roles=(COMMON,),
    )
    evaluate_num_episodes: int = setting(
        20, "Episodes that --evaluate_every_frames plays, for each task.", "episodes", bounds=at_least(1)
    )
    evaluate_greedy: bool = setting(
        False, "Let --evaluate_every_frames take the most probable action instead of a sample."
    )
    test_num_episodes: int = setting(100, "Episodes that --mode=test plays.", "episodes", bounds=at_least(1))
