"""Says what each thread of a run does now, and since when."""

import sys
import time
import traceback
from collections.abc import Iterable
from types import FrameType
from typing import NamedTuple

from impala_tf.running.run import Run
from impala_tf.support.messages import own_place
from impala_tf.support.places import Place

MOST_NAMES = 4  # A message names so many that do the same.

# Who is in one of these blocks works, and is to blame when it takes too long.
WORK = {
    "reset": "in its environment's reset",
    "step": "in its environment's step",
    "close": "closing its environment",
    "policy": "in its policy call",
    "gradient": "computing gradients",
    "update": "in an update",
    "batch": "making a batch",
    "save": "saving a checkpoint",
    "row": "writing metrics",
    "host start": "starting, or waiting for a machine with room",
    "host unroll": "making an unroll",
    "": "between two blocks of its work",
}
# Who is in one of these waits for somebody else.
WAITS = {
    "wait": "waiting for a batch",
    "get": "waiting for unrolls",
    "hand": "waiting for the learner",
    "weights": "waiting for new weights",
    "turn": "waiting for a turn to act",
    "put": "waiting for room in the queue",
    "answers": "waiting for hosts of actors",
}


class Doing(NamedTuple):
    """Somebody has been somewhere for some time.

    who: name, such as "actor 2". what: key of `WORK` or `WAITS`.
    since: time.perf_counter() when it came there.
    thread: identifier of its thread; 0 where it is in another process.
    """

    who: str
    what: str
    since: float
    thread: int

    @property
    def works(self) -> bool:
        return self.what in WORK

    def secs(self) -> float:
        """Returns for how many seconds it has been there."""
        return time.perf_counter() - self.since

    def stack(self) -> FrameType | None:
        """Returns the innermost frame of its thread; None where there is none in this process."""
        return sys._current_frames().get(self.thread)


def doings(run: Run) -> list[Doing]:
    """Returns what each thread of the crew does that was timed, and each host of actors in other processes."""
    actors = {f"{kind} {actor.index}": actor for actor in run.actors for kind in ("actor", "worker")}
    found = []
    for thread in run.crew.alive():
        place = run.metrics.places.get(thread.ident or 0)
        if place is None:  # It has not begun, or is never timed, as the evaluator is.
            continue
        if place.what == "act" and thread.name in actors:
            place = actors[thread.name].place
        found.append(_of(thread.name, place))
    # While their feeder waits for room in the queue, hosts may have answered.
    if run.feeder and not any(doing.who == "the feeder" and doing.what == "put" for doing in found):
        found += [Doing(who, place.what, place.since, 0) for who, place in run.feeder.asked()]
    return found


def _of(who: str, place: Place) -> Doing:
    doing = Doing(who if " " in who else f"the {who}", place.what, place.since, place.thread)
    if doing.what == "step" and _is_in_a_reset(doing.stack()):  # A vector resets inside of its step.
        return doing._replace(what="reset")
    return doing


def _is_in_a_reset(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name != "step_environments":
        if frame.f_code.co_name == "reset":
            return True
        frame = frame.f_back
    return False


def in_words(found: Iterable[Doing]) -> str:
    """Says who has been where for how long; those that are at the same place are named together.

    Returns text such as "actor 2 has been in its environment's step for 61 s (simulator.py, line 12)".
    """
    return "; ".join(_group(group, "has been", "have been", with_secs=True) for group in _groups(found))


def waiting_in_words(found: Iterable[Doing]) -> str:
    """Says who waits for what, such as "learner is waiting for a batch, actors 0, 1 are waiting for a turn to act"."""
    return ", ".join(_group(group, "is", "are", with_secs=False) for group in _groups(found))


def _groups(found: Iterable[Doing]) -> list[list[Doing]]:
    groups: dict[str, list[Doing]] = {}
    for doing in sorted(found, key=lambda doing: doing.since):
        groups.setdefault(doing.what, []).append(doing)
    return list(groups.values())


def _group(group: list[Doing], one: str, many: str, with_secs: bool) -> str:
    first = group[0]
    where = (WORK | WAITS)[first.what]
    where = (
        where if len(group) == 1 else where.replace("its environment", "their environment").replace("its p", "their p")
    )
    text = f"{_names(group)} {one if len(group) == 1 else many} {where}"
    if not with_secs:
        return text
    frame = first.stack()
    place = own_place(traceback.extract_stack(frame)) if frame and first.works else ""
    return f"{text} for {first.secs():.0f} s{place}"


def _names(group: list[Doing]) -> str:
    names = [doing.who for doing in group]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    kinds, numbers = {name.rpartition(" ")[0] for name in names}, [name.rpartition(" ")[2] for name in names]
    if len(names) > 1 and len(kinds) == 1 and all(map(str.isdecimal, numbers)):
        return f"{kinds.pop()}s {', '.join(numbers[:MOST_NAMES])}{more}"
    return f"{', '.join(names[:MOST_NAMES])}{more}"
