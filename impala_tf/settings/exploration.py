"""Declares the settings of intrinsic rewards."""

import dataclasses

from impala_tf.settings.setting import NETWORK, above, at_least, between, setting

RND = "Burda et al. 2018"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplorationSettings:
    """The learner may reward observations that are new (learning/rnd.py)."""

    rnd: bool = setting(
        False,
        "Also reward observations that are new: those whose random features a trained network predicts badly.",
        source=f"{RND}, random network distillation",
        roles=(NETWORK,),
    )
    rnd_scale: float = setting(
        0.5, "Weight of intrinsic advantages beside 1 for the task's.", source=f"{RND}: 0.5", bounds=at_least(0)
    )
    rnd_discounting: float = setting(
        0.99,
        "Discount of intrinsic returns, which go on over the ends of episodes.",
        source=f"{RND}: 0.99",
        bounds=between(0, 1),
    )
    rnd_learning_rate: float = setting(
        1e-4,
        "Learning rate of the predictor and of the intrinsic baseline, which have an Adam of their own.",
        source=f"{RND}: 1e-4",
        bounds=above(0),
    )
