"""Declares the settings of running/."""

import dataclasses

from impala_tf.settings.setting import COMMON, PAPER, at_least, between, setting

# The networks multiply the seed by 1000 and add less than 1000; Keras takes seeds below 2^63.
MAX_SEED = 2**63 // 1000 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """A run has a log directory, a budget, and an architecture, which says who waits for whom."""

    mode: str = setting(
        "train",
        "What is done. train: train. test: evaluate the log directory's export.",
        choices=("train", "test"),
        roles=(COMMON,),
    )
    logdir: str = setting(
        "", "Log directory; empty: a new one, runs/ENVIRONMENT-DATE; one with a checkpoint: resume.", roles=(COMMON,)
    )
    trust_modules: str = setting(
        "",
        "Modules that may be imported although a file names them and not the command line, with commas between them "
        "(docs/security.md).",
    )
    seed: int = setting(
        1, "Seeds weights, action sampling and every environment.", bounds=between(0, MAX_SEED), roles=(COMMON,)
    )
    total_environment_frames: int = setting(
        1_000_000,
        "Budget of the run; the schedules end here, unless --schedule_frames says otherwise.",
        "environment frames",
        bounds=at_least(1),
        roles=(COMMON,),
    )
    architecture: str = setting(
        "impala",
        "Who waits for whom. impala: nobody. a2c_sync_trajectory: all actors for the update from all their unrolls. "
        "a2c_sync_step: also for each other at every step. a3c: actors compute gradients themselves.",
        source=f"{PAPER} figure 2, table 1",
        choices=("impala", "a2c_sync_step", "a2c_sync_trajectory", "a3c"),
        roles=(COMMON,),
    )
    stall_secs: float = setting(
        60.0,
        "Who works at one place for so long, or waits while there is no update, is named; 0: nobody.",
        "seconds",
        bounds=at_least(0),
    )
    stall_abort_secs: float = setting(
        0.0,
        "The run is saved and ended when there was no update for so long; 0: never. Building graphs does not count.",
        "seconds",
        bounds=at_least(0),
    )
