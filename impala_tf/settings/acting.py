"""Declares the settings of acting/."""

import dataclasses

from impala_tf.settings.setting import CODE, COMMON, PAPER, above, at_least, between, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActingSettings:
    """Actors step vectors of environments. They may share policy calls, and explore."""

    num_actors: int = setting(
        4, "Actors, each with a vector of environments.", source=f"{CODE}: 4", bounds=at_least(1), roles=(COMMON,)
    )
    num_envs_per_actor: int = setting(
        64, "Environments in each actor's vector.", source=f"{PAPER}: 1", bounds=at_least(1), roles=(COMMON,)
    )
    actor_backend: str = setting(
        "threads",
        "Where actors act. threads: in the learner's process. processes: in others of this machine. ray: on a cluster.",
        choices=("threads", "processes", "ray"),
        roles=(COMMON,),
    )
    actors_per_host: int = setting(
        1,
        "With processes and ray, actors in each process, which take turns: they share TensorFlow, weights and a core.",
        "actors",
        bounds=at_least(1),
    )
    ray_address: str = setting(
        "",
        "With ray, the cluster: HOST:PORT, or auto for the one of this machine. Empty: $RAY_ADDRESS, else one that is "
        "started here and ends with the run.",
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
    behaviour_epsilon: float = setting(
        0.0,
        "Actors take a uniformly random action with this probability, each component of an action by itself; V-trace "
        "corrects for it. Not for a Box.",
        source="Mnih et al. 2015",
        bounds=between(0, 1),
    )
    behaviour_temperature: float = setting(
        1.0,
        "Actors divide logits by this and multiply the scale of Box actions by it; V-trace corrects for it.",
        bounds=above(0),
    )
    behaviour_spread: bool = setting(
        False,
        "Spread both over the actors: of N, actor i has epsilon^(1 + 7 i / (N - 1)) and temperature^(1 - i / (N - 1)), "
        "so that actor 0 explores most.",
        source="Horgan et al. 2018, Ape-X: the exponent of epsilon",
    )
