"""Ends the threads and the environments of a run in bounded time, whatever hangs, and says who was left behind."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from impala_tf.acting.base_actor import BaseActor
from impala_tf.running.doings import Doing, doings, in_words
from impala_tf.running.run import Run
from impala_tf.support import signals
from impala_tf.support.messages import one_line, warn
from impala_tf.support.places import Place
from impala_tf.support.threads import Closed, CrewThread, RunError

JOIN_SECS = 20.0  # The threads may take so long to finish the unrolls and the update in hand.
# After a signal or an error, what is at the same place for so long is left behind, but for an update in hand;
HUNG_SECS = 3.0
# what was there for so long before the stop is left behind after a moment;
LONG_HUNG_SECS, MOMENT_SECS = 10.0, 0.5
HURRY_SECS = 6.0  # and all else, also what moves, after this.
CLOSE_SECS = 10.0  # Environments may take so long to close,
HURRIED_CLOSE_SECS = 1.5  # and after a signal or an error so long;
LAST_CLOSE_SECS = 1.0  # and the others, when one has hung, so long.
POLL_SECS = 0.02


def join(run: Run, in_a_hurry: Callable[[], bool]) -> list[Doing]:
    """Waits until the threads have ended. Says which have not, and returns what these are at.

    in_a_hurry: function that says whether somebody waits for the end, after a signal or an error.
    """
    stopped = time.perf_counter()
    while run.crew.running():
        secs = time.perf_counter() - stopped
        if secs >= JOIN_SECS or (in_a_hurry() and all(_is_lost(run, thread, secs) for thread in run.crew.alive())):
            break
        time.sleep(POLL_SECS)
    left = run.crew.running()
    if not left:
        return []
    found = [doing for doing in doings(run) if doing.who.removeprefix("the ") in left and doing.works]
    names = in_words(found) if found else ", ".join(left)
    warn(f"left behind: {names}")
    return found


def _is_lost(run: Run, thread: threading.Thread, secs: float) -> bool:
    """Returns whether nobody waits for a thread any more, `secs` after the stop."""
    at = next((doing for doing in doings(run) if doing.who.removeprefix("the ") == thread.name), None)
    if at and at.what in ("update", "save") and run.learner.updates:  # What was learned would not be saved.
        return False
    since = at.secs() if at else secs
    if since - secs >= LONG_HUNG_SECS and secs >= MOMENT_SECS and thread.name != "feeder":
        return True
    return secs >= HURRY_SECS or (thread.name != "feeder" and min(since, secs) >= HUNG_SECS)


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Makes one line of what keeps its block from writing: RunError. what: what is written, for the reader."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{what} could not be written ({error.strerror or one_line(error)}); the one before is kept"
        ) from error
    except tf.errors.OpError as error:
        raise RunError(
            f"{what} could not be written ({one_line(error.message)[:200]}); the one before is kept"
        ) from error


def is_updating(left: list[Doing]) -> bool:
    """Returns whether one of those that were left behind may still change the weights."""
    return any(
        doing.what in ("update", "save", "") and doing.who.startswith(("the learner", "worker")) for doing in left
    )


def close(actors: list[BaseActor], left: list[Doing], in_a_hurry: bool) -> None:
    """Closes the environments, each in a thread, and says which do not.

    left: who was left behind. An environment that hangs in a step is not touched: another thread might crash it.
    Raises the first exception.
    """
    patience = HURRIED_CLOSE_SECS if in_a_hurry else CLOSE_SECS
    hung = {doing.who.rpartition(" ")[2] for doing in left if doing.who.startswith(("actor", "worker"))}
    errors: list[Exception] = []
    closing: list[tuple[CrewThread, Place, int]] = []
    waits = True
    for actor in actors:
        if str(actor.index) in hung:
            continue
        place = Place()
        thread = CrewThread("close", functools.partial(_close, actor, place, errors))
        thread.start()
        closing.append((thread, place, actor.index))
        if waits:  # One after the other, as long as none hangs; then the others at once.
            thread.join(patience)
            waits = not thread.is_alive()
    deadline = time.perf_counter() + min(LAST_CLOSE_SECS, patience)
    for thread, _, _ in closing:
        thread.join(max(0.0, deadline - time.perf_counter()))
    open_still = [
        Doing(f"actor {index}", "close", place.since, place.thread)
        for thread, place, index in closing
        if thread.is_alive()
    ]
    if open_still:
        warn(f"left behind: {in_words(open_still)}")
    if errors:
        raise errors[0]


def _close(actor: BaseActor, place: Place, errors: list[Exception]) -> None:
    place.enter("close")
    try:
        actor.close()
    except Exception as error:
        errors.append(error)


def unless_it_hangs(name: str, work: Callable[[], Any], request: signals.Request) -> None:
    """Does work that plays in environments. When a signal has come, and it does not end then, it is left behind.

    name: name of the work, for the reader. Raises what the work raises.
    """
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = CrewThread(name, guarded)
    thread.start()
    asked: float | None = None
    while thread.is_alive():
        thread.join(POLL_SECS)
        asked = time.perf_counter() if request.made and asked is None else asked
        if asked is not None and time.perf_counter() - asked >= HUNG_SECS and thread.is_alive():
            warn(f"left behind: {name}")
            raise Closed
    if errors:
        raise errors[0]
