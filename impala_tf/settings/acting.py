"""Declares the settings of acting/."""

import dataclasses

from impala_tf.settings.setting import CODE, COMMON, PAPER, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActingSettings:
    """Actors step vectors of environments, and may share policy calls."""

    num_actors: int = setting(4, "Actor threads.", source=f"{CODE}: 4", bounds=at_least(1), roles=(COMMON,))
    num_envs_per_actor: int = setting(
        64, "Environments in each actor's vector.", source=f"{PAPER}: 1", bounds=at_least(1), roles=(COMMON,)
    )
    envs_per_step: int = setting(
        0,
        "With ale and envpool, environments that an actor's policy call takes, whichever are ready first, while the "
        "others step; 0: all, which waits for the slowest.",
        "environments",
        bounds=at_least(0),
    )
    concurrent_actors: int = setting(
        0,
        "Actors that act at the same time; the others wait for a turn of one unroll. 0: as many as there are cores but "
        "one, since threads that step Python environments hinder each other; all with async, ale, envpool and with "
        "dynamic batching.",
        "actors",
        bounds=at_least(0),
    )
    dynamic_batching: bool = setting(
        False, "Let all actors share policy calls.", source=f"{PAPER} section 3.1", roles=(COMMON,)
    )
    dynamic_batching_min: int = setting(
        1, "A shared call with fewer rows is padded up to this many.", "rows", f"{CODE}: 1", bounds=at_least(1)
    )
    dynamic_batching_max: int = setting(
        1024, "A shared call has at most this many rows.", "rows", f"{CODE}: 1024", bounds=at_least(1)
    )
    dynamic_batching_timeout_ms: float = setting(
        1.0, "How long a shared call waits for more rows.", "milliseconds", f"{CODE}: 100", bounds=at_least(0)
    )
