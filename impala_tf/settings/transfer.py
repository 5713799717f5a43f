"""Declares the settings of a run that begins with what another run has learned."""

import dataclasses

from impala_tf.settings.setting import COMMON, at_least, between, setting

KICKSTARTING = "Schmitt et al. 2018"

PARTS = ("torso", "core", "heads")  # The network has these parts.


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """A run may start from another's weights, keep some as they are, and learn from teachers."""

    init_from: str = setting(
        "",
        "Start a new run from these weights: a checkpoint (.npz), a log directory (its newest checkpoint) or an export "
        "(saved_model). What fits by name and shape is taken; optimizer and counters start anew. A log directory that "
        "has a checkpoint goes on from that.",
        roles=(COMMON,),
    )
    init_parts: str = setting(
        ",".join(PARTS),
        "Parts of the network that --init_from takes, with the statistics for normalising that belong to them: any of "
        "torso, core and heads, with commas between them.",
    )
    freeze: str = setting(
        "",
        "Parts of the network that do not learn: any of torso, core and heads, with commas between them. Statistics "
        "for normalising go on.",
    )
    teacher: str = setting(
        "",
        "An export without a core (saved_model) whose policy this one is drawn to, on its own unrolls. With several "
        "tasks also one export for each task of --env_id, in that order, with commas between them.",
        source=KICKSTARTING,
        roles=(COMMON,),
    )
    teacher_cost: float = setting(
        0.5,
        "Weight of KL(teacher || policy), summed over the steps of a batch.",
        source=f"{KICKSTARTING}: 0.1 to 0.5",
        bounds=at_least(0),
    )
    teacher_cost_decay: float = setting(
        1.0,
        "Factor of --teacher_cost after each update; 0.9999 leaves a tenth after 23,000.",
        source=f"{KICKSTARTING}: 0.9995 to 1",
        bounds=between(0, 1),
    )


def parts_in(value: str) -> list[str]:
    """Returns the parts that a setting names, with commas between them; none for an empty one."""
    return value.split(",") if value else []


def are_parts(value: str) -> bool:
    """Returns whether a setting names parts of the network only, and none twice."""
    parts = parts_in(value)
    return set(parts) <= set(PARTS) and len(set(parts)) == len(parts)
