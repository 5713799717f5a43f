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
    replay_sampling: str = setting(
        "uniform",
        "How replayed unrolls are drawn. prioritised: by the mean size of the advantages when they were last learned "
        "from; importance weights then make up for it.",
        source=f"{PAPER}: uniform; Schaul et al. 2016",
        choices=("uniform", "prioritised"),
    )
    replay_priority_exponent: float = setting(
        0.8,
        "Prioritised replay draws in proportion to priorities to this power; 0: uniformly.",
        source="PufferLib: 0.8; Schaul et al. 2016: 0.7",
        bounds=at_least(0),
    )
    replay_importance_exponent: float = setting(
        0.2,
        "Power of prioritised replay's importance weights at the start; it rises linearly to 1, where they make up for "
        "the priorities in full, at the end of the budget.",
        source="PufferLib: 0.2; Schaul et al. 2016: 0.5",
        bounds=between(0, 1),
    )
    clone_policy_cost: float = setting(
        0.0,
        "Weight of KL(behaviour policy || policy) on replayed unrolls, CLEAR's cloning.",
        source="Rolnick et al. 2019: 0.01",
        bounds=at_least(0),
    )
    clone_baseline_cost: float = setting(
        0.0,
        "Weight of the squared change of the baseline on replayed unrolls since they were made, CLEAR's cloning.",
        source="Rolnick et al. 2019: 0.005",
        bounds=at_least(0),
    )


def importance_exponent(config: Any, environment_frames: int) -> float:
    """Returns the power of the importance weights after some frames of the budget. config: a `Config`."""
    done = min(1.0, environment_frames / config.total_environment_frames)
    return config.replay_importance_exponent * (1.0 - done) + done


def num_replayed(config: Any) -> int:
    """Returns how many unrolls of each batch are replayed. config: a `Config`."""
    return round(config.batch_size * config.replay_fraction)
