"""Declares the settings of records/."""

import dataclasses

from impala_tf.settings.setting import CODE, above, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """A run leaves metrics, checkpoints and a profile in its log directory."""

    log_every_secs: float = setting(
        0.5, "Time between rows of metrics.csv and TensorBoard.", "seconds", bounds=above(0)
    )
    checkpoint_every_secs: float = setting(
        60.0, "Time between checkpoints; 0: off.", "seconds", f"{CODE}: 600", bounds=at_least(0)
    )
    checkpoint_every_updates: int = setting(0, "Updates between checkpoints; 0: off.", "updates", bounds=at_least(0))
    exact_resume: bool = setting(
        False,
        "A resumed run equals one that was never stopped, to the bit. For a2c_* and a3c with one actor on CPUs; "
        "environments are replayed from their seeds and actions, so auto vectorization is sync.",
    )
    keep_checkpoints: int = setting(3, "How many of the newest checkpoints are kept.", bounds=at_least(1))
    profile: bool = setting(False, "Trace two seconds of training into the log directory (docs/performance.md).")
