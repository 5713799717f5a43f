"""Declares the settings of several learners."""

import dataclasses
import re
from typing import Any

from impala_tf.settings.setting import COMMON, PAPER, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnerSettings:
    """Several learners, with actors each, make one update from all their batches."""

    num_learners: int = setting(
        1,
        "Learners that make one update from all their batches; all go on from the checkpoint when one of them dies. "
        "For where they are see --learner_backend and --learner_hosts. --batch_size is that of each.",
        source=f"{PAPER}: 8",
        bounds=at_least(1),
        roles=(COMMON,),
    )
    learner_backend: str = setting(
        "processes",
        "Where --num_learners are started. processes: on this machine. ray: on the machines of --ray_address, which "
        "must share --logdir.",
        choices=("processes", "ray"),
    )
    learner_hosts: str = setting(
        "",
        "host:port of each learner, with commas between them, where each is started by itself. Whoever reaches these "
        "ports can command the learners, so they are for a private network.",
    )
    learner_index: int = setting(
        0, "Which of --learner_hosts this is; learner 0, the chief, writes the log directory.", bounds=at_least(0)
    )


def hosts_of(settings: Any) -> list[str]:
    """Returns host:port of each learner of --learner_hosts."""
    return settings.learner_hosts.split(",") if settings.learner_hosts else []


def num_learners(settings: Any) -> int:
    """Returns the number of learners of a run."""
    return len(hosts_of(settings)) or settings.num_learners


def are_hosts(text: str) -> bool:
    """Returns whether a text is two or more different host:port with commas between them."""
    hosts = text.split(",")
    ports = [re.fullmatch(r"[^\s:,]+:(\d{1,5})", host) for host in hosts]
    return len(set(hosts)) == len(hosts) > 1 and all(port and 0 < int(port[1]) < 65536 for port in ports)
