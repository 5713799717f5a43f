"""Declares the settings of replay."""

import dataclasses
from typing import Any

from impala_tf.settings.setting import PAPER, at_least, between, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReplaySettings:
    """A part of each batch may come from a buffer of unrolls that were learned from before."""

    replay_fraction: float = setting(
        0.0,
        "Share of each batch that is replayed. Frames, episodes and entropy are those of the other unrolls.",
        source=f"{PAPER} table 2: 0.5; Schmitt et al. 2019: 0.875",
        bounds=between(0, 1),
    )
    replay_capacity: int = setting(
        10_000,
        "Newest unrolls that the replay buffer holds; a resumed run starts with an empty one.",
        "unrolls",
        f"{PAPER} table 2: 10,000",
        bounds=at_least(1),
    )


def num_replayed(config: Any) -> int:
    """Returns how many unrolls of each batch are replayed. config: a `Config`."""
    return round(config.batch_size * config.replay_fraction)
