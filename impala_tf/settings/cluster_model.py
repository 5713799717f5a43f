"""Declares the flags of `python -m impala_tf.benchmark --suite=cluster`. They are no settings of a run."""

import dataclasses

from impala_tf.settings.setting import COMMON, PAPER, SettingError, above, as_text, at_least, between, checked, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterModelSettings:
    """What --suite=cluster predicts; unrolls, environments and batches are those of the other flags."""

    cluster_actors: tuple[int, ...] = setting(
        (1, 4, 16, 64, 256, 1000, 4000, 10_000), "Numbers of actors of the whole cluster.", roles=(COMMON,)
    )
    cluster_learners: tuple[int, ...] = setting((1, 8), "Numbers of synchronous learners.", roles=(COMMON,))
    cluster_costs: str = setting(
        "",
        "JSON file of --suite=ceilings with the same settings. Empty: an actor and the learner are measured now.",
        roles=(COMMON,),
    )
    cluster_act_ms: float = setting(
        0.0,
        "Time of an actor for an unroll of all its environments, on a core of its own. 0: as measured.",
        "milliseconds",
        bounds=at_least(0),
        roles=(COMMON,),
    )
    cluster_update_ms: float = setting(
        0.0, "Time of a learner for an update. 0: as measured.", "milliseconds", bounds=at_least(0), roles=(COMMON,)
    )
    cluster_network_gbit: float = setting(
        10.0, "Speed of a learner's network card, each way.", "Gbit/s", bounds=above(0), roles=(COMMON,)
    )
    cluster_latency_ms: float = setting(0.1, "Time of a message without content.", "milliseconds", bounds=at_least(0))
    cluster_message_ms: float = setting(
        1.0,
        "Time of the learner's process for an actor's unrolls, beside copying them.",
        "milliseconds",
        "measured with Ray: 0.7 ms of CPU",
        bounds=at_least(0),
    )
    cluster_copy_gbyte_per_sec: float = setting(
        3.0, "Speed at which the learner's process copies unrolls into its queue.", "GB/s", bounds=above(0)
    )
    cluster_actors_per_node: int = setting(
        16, "Actors of a machine, which get each version of the weights once.", bounds=at_least(1), roles=(COMMON,)
    )
    cluster_cores_per_node: int = setting(
        0, "Actors of a machine that can act at the same time. 0: all.", bounds=at_least(0)
    )
    cluster_act_variation: float = setting(
        0.05, "Standard deviation of the time of an unroll, as a share of it.", bounds=between(0, 1)
    )
    cluster_update_variation: float = setting(
        0.05,
        "Standard deviation of the time of an update, as a share of it: learners wait for the slowest.",
        source=f"{PAPER}: 8 learners were 7 times as fast as 1, which 0.1 explains",
        bounds=between(0, 1),
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))
        if max(self.cluster_actors) < min(self.cluster_learners):
            raise SettingError(
                f"--cluster_actors={as_text(self.cluster_actors)}: each of --cluster_learners="
                f"{as_text(self.cluster_learners)} needs an actor"
            )
