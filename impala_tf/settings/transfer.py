"""Declares the settings of a run that begins with what another run has learned."""

import dataclasses

from impala_tf.settings.setting import COMMON, setting

PARTS = ("torso", "core", "heads")  # The network has these parts.


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransferSettings:
    """A run may start from the weights of another run, and keep some of them as they are."""

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


def parts_in(value: str) -> list[str]:
    """Returns the parts that a setting names, with commas between them; none for an empty one."""
    return value.split(",") if value else []


def are_parts(value: str) -> bool:
    """Returns whether a setting names parts of the network only, and none twice."""
    parts = parts_in(value)
    return set(parts) <= set(PARTS) and len(set(parts)) == len(parts)
