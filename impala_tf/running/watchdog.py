"""Watches the threads of a run: says who waits for whom when nothing moves, and who is to blame."""

import datetime
import sys
import threading
import time
import traceback

from impala_tf.records.logdir import STACKS
from impala_tf.running.doings import Doing, doings, in_words, waiting_in_words
from impala_tf.running.run import Run
from impala_tf.support.messages import warn, with_place
from impala_tf.support.threads import Stalled

TURN_SECS = 5.0  # Who has been in one call of its environment for so long no longer keeps a turn from the others.
BUILDING = ("policy", "gradient", "update")  # Before the first update these build graphs, which can take minutes.
LOOKS_PER_STALL = 10  # The watchdog looks so often in --stall_secs, and at least once a second.


class Watchdog:
    """Knows from the places of the threads who has been where for how long.

    Progress is an update. Whoever works at one place for --stall_secs is named, also when the others go on without
    it; so is whoever waits when there was no update for so long. What was said is said again after twice the time.
    """

    def __init__(self, run: Run):
        self._run = run
        self._stall_secs = run.config.stall_secs
        self._abort_secs = run.config.stall_abort_secs
        self._updates = run.learner.updates
        self._last_update = time.perf_counter()
        self._said: dict[
            tuple[str, float], float
        ] = {}  # By who and since when: the seconds after which it is said again.
        self._say_all_wait_at = self._stall_secs
        self._has_updated = False

    def work(self) -> None:
        """Looks now and then until the crew is stopping; this is the watchdog's thread."""
        try:
            while not self._run.crew.wait(min(1.0, self._stall_secs / LOOKS_PER_STALL)):
                self.look()
        except Exception as error:  # The run does not need its watchdog.
            warn(f"the watchdog has ended with {with_place(error)}")

    def look(self) -> None:
        """Looks once at all threads, and says what is to be said."""
        now = time.perf_counter()
        if self._run.learner.updates != self._updates:
            self._updates, self._last_update = self._run.learner.updates, now
            self._say_all_wait_at, self._has_updated = self._stall_secs, True
        found = doings(self._run)
        self._free_turns(found, now)
        stalled_secs = now - self._last_update
        is_stalled = stalled_secs >= self._stall_secs
        # The culprit may have come there after the last update.
        limit = self._stall_secs / 2 if is_stalled else self._stall_secs
        stuck = [doing for doing in found if doing.works and now - doing.since >= limit]
        self._say_who_goes_on(found)
        if any(now - doing.since >= self._said.get((doing.who, doing.since), 0.0) for doing in stuck):
            self._said |= {(doing.who, doing.since): 2 * (now - doing.since) for doing in stuck}
            self._say(self._line(stuck, found, is_stalled), stuck)
        elif is_stalled and not stuck and stalled_secs >= self._say_all_wait_at:
            self._say_all_wait_at = 2 * stalled_secs
            self._say(self._line(stuck, found, is_stalled), found)
        is_building = not self._has_updated and all(doing.what in BUILDING for doing in stuck)
        if is_stalled and not is_building and 0 < self._abort_secs <= stalled_secs:
            why = f"no update for {stalled_secs:.0f} s: {self._line(stuck, found, is_stalled)}"
            self._run.crew.stop(Stalled(f"{why}; --stall_abort_secs={self._abort_secs:g} ends the run"))

    def _free_turns(self, found: list[Doing], now: float) -> None:
        """Passes the turns of those that hang in their environments on to others."""
        patience = min(TURN_SECS, self._stall_secs / 2)
        for thread in self._run.crew.alive():
            at = [doing for doing in found if doing.who == thread.name and doing.what in ("reset", "step")]
            if at and now - at[0].since >= patience:
                self._run.turns.pass_on(thread.ident or 0)

    def _line(self, stuck: list[Doing], found: list[Doing], is_stalled: bool) -> str:
        """Says who is to blame, and who waits."""
        if stuck and not is_stalled:
            return f"{in_words(stuck)}; the others go on without"
        waiting = waiting_in_words(doing for doing in found if not doing.works)
        if stuck:
            first = "" if self._has_updated else " (the first calls build graphs, which can take minutes)"
            return f"{in_words(stuck)}{first}{f'; {waiting}' if waiting else ''}"
        is_at = {doing.what for doing in found if not doing.works}
        working = [doing for doing in found if doing.works]
        if working:
            return f"no update, but nobody is stuck: {in_words(working)}; {waiting}"
        if {"put", "get"} <= is_at:
            who_put = [doing for doing in found if doing.what in ("put", "get")]
            return f"the queue is stuck: {in_words(who_put)}"
        return f"all wait for each other: {in_words(found)}"

    def _say_who_goes_on(self, found: list[Doing]) -> None:
        here = {(doing.who, doing.since) for doing in found}
        for who, since in [key for key in self._said if key not in here]:
            del self._said[who, since]
            if any(doing.who == who for doing in found):
                warn(f"{who} goes on after {time.perf_counter() - since:.0f} s")

    def _say(self, line: str, first: list[Doing]) -> None:
        """Says the line, and writes it to a file with the stacks of all threads. first: whose stacks come first."""
        path = self._run.logdir.path / STACKS
        try:
            with path.open("a") as file:
                file.write("\n".join([f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S} {line}", *_stacks(first), "", ""]))
            where = f"its stack is in {path}"
        except OSError as error:
            where = f"its stack could not be written ({error.strerror})"
        warn(f"{line} ({where})")


def _stacks(first: list[Doing]) -> list[str]:
    """Returns the stack of each thread under its name. first: whose stacks come first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    names |= {doing.thread: doing.who for doing in first}
    frames = sys._current_frames()
    order = sorted(frames, key=lambda thread: thread not in {doing.thread for doing in first})
    return [f"{names.get(i, f'thread {i}')}:\n{''.join(traceback.format_stack(frames[i]))}" for i in order]
