"""Declares the settings of spaces/."""

import dataclasses

from impala_tf.settings.setting import ENVIRONMENT, NETWORK, above, setting

MIN_ACTION_SCALE = 1e-3  # A normal's scale is above this, which keeps densities and their gradients finite.


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpaceSettings:
    """Box actions are sampled from a distribution with these bounds and this scale."""

    action_bounds: str = setting(
        "clip",
        "Box actions: how samples of a normal distribution meet the bounds. clip: the environment gets the nearest "
        "allowed action. tanh: they are squashed, where both bounds are finite.",
        source="Schulman et al. 2017: clip; Haarnoja et al. 2018: tanh",
        choices=("clip", "tanh"),
        roles=(NETWORK, ENVIRONMENT),
    )
    action_scale: str = setting(
        "learned",
        "Box actions: scale of the normal distribution. learned: the same for every observation. predicted: the "
        "network makes it.",
        source="Schulman et al. 2017: learned; Haarnoja et al. 2018: predicted",
        choices=("learned", "predicted"),
        roles=(NETWORK,),
    )
    action_scale_init: float = setting(
        0.5,
        "Box actions: scale at the start.",
        "half the distance of the bounds, or 1 where one is infinite",
        "ours",
        bounds=above(MIN_ACTION_SCALE),
        roles=(NETWORK,),
    )
