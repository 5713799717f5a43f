"""Simulates in discrete events: a clock jumps from one event to the next and wakes the processes that wait for it.

A process is a generator, which yields what it waits for: a number of seconds, or an `Event`. Between two yields no time
passes. So this process acts for 3 s and then waits until its unroll is in the queue:

    def actor(queue):
        while True:
            yield 3.0
            yield queue.put(["unroll"])
"""

import collections
import heapq
import itertools
from collections.abc import Callable, Generator
from typing import Any

Process = Generator["float | Event", None, None]


class Event:
    """Happens once. One process may wait for it."""

    __slots__ = ("happened", "waiting")

    def __init__(self) -> None:
        self.happened = False
        self.waiting: Process | None = None


class Clock:
    """Holds the time, and the processes that sleep, by the time at which they go on.

    now: seconds since the start.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeping: list[tuple[float, int, Process]] = []
        self._order = (
            itertools.count()
        )  # Those that wake at the same time go on in the order in which they fell asleep.

    def start(self, process: Process, after: float = 0.0) -> None:
        """Lets a process begin, or go on, after so many seconds."""
        heapq.heappush(self._sleeping, (self.now + after, next(self._order), process))

    def happen(self, event: Event) -> None:
        """Wakes the process that waits for the event."""
        event.happened = True
        if event.waiting:
            self.start(event.waiting)

    def run(self, has_ended: Callable[[], bool]) -> None:
        """Lets time pass until has_ended(). Raises RuntimeError when every process waits for another."""
        while not has_ended():
            if not self._sleeping:
                raise RuntimeError("every process waits for another one")
            self.now, _, process = heapq.heappop(self._sleeping)
            self._go_on(process)

    def _go_on(self, process: Process) -> None:
        for wanted in process:
            if isinstance(wanted, Event):
                if not wanted.happened:
                    wanted.waiting = process
                    return
            elif wanted > 0:
                self.start(process, wanted)
                return


class Level:
    """Integrates a number over time, such as how many actors are acting."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._value = 0.0
        self._integral = 0.0
        self._since = 0.0

    def add(self, number: float) -> None:
        self._integral = self.integral()
        self._since = self._clock.now
        self._value += number

    def integral(self) -> float:
        """Returns the number times seconds, from the start until now."""
        return self._integral + self._value * (self._clock.now - self._since)


class Line:
    """Serves one after the other in the order of their arrival, such as a network card."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._free_at = 0.0
        self._served_secs = 0.0

    def serve(self, secs: float) -> float:
        """Takes on work of so many seconds. Returns the seconds from now until it is done."""
        self._free_at = max(self._clock.now, self._free_at) + secs
        self._served_secs += secs
        return self._free_at - self._clock.now

    def busy_secs(self) -> float:
        """Returns the seconds in which it has worked until now."""
        return self._served_secs - max(0.0, self._free_at - self._clock.now)


class BoundedQueue:
    """Does what `tf.queue.FIFOQueue` does: items of a `put` go in as there is room, `get` takes them as they come.

    Who came first is served first. A queue of tokens hands out turns.
    """

    def __init__(self, clock: Clock, capacity: float):
        self._clock = clock
        self._capacity = capacity
        self._items: collections.deque[Any] = collections.deque()
        self._putting: collections.deque[tuple[collections.deque[Any], Event]] = collections.deque()
        self._getting: collections.deque[tuple[list[Any], int, Event]] = collections.deque()

    def put(self, items: list[Any]) -> Event:
        """Returns the event that all items are in."""
        done = Event()
        self._putting.append((collections.deque(items), done))
        self._move()
        return done

    def get(self, num: int) -> tuple[list[Any], Event]:
        """Returns the list that will hold the next `num` items, and the event that it does."""
        taken: list[Any] = []
        done = Event()
        self._getting.append((taken, num, done))
        self._move()
        return taken, done

    def _move(self) -> None:
        while self._let_in() or self._give_out():
            pass

    def _let_in(self) -> bool:
        """Moves items of the first `put` into the queue. Returns whether any moved."""
        if not self._putting or len(self._items) >= self._capacity:
            return False
        items, done = self._putting[0]
        while items and len(self._items) < self._capacity:
            self._items.append(items.popleft())
        if not items:
            self._putting.popleft()
            self._clock.happen(done)
        return True

    def _give_out(self) -> bool:
        """Moves items to the first `get`. Returns whether any moved."""
        if not self._getting or not self._items:
            return False
        taken, num, done = self._getting[0]
        while self._items and len(taken) < num:
            taken.append(self._items.popleft())
        if len(taken) == num:
            self._getting.popleft()
            self._clock.happen(done)
        return True
