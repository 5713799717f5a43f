"""Runs threads that end as one: the first exception, or a request to stop, ends all of them."""

import collections
import threading
import time
from collections.abc import Callable


class CrewThread(threading.Thread):
    """This thread belongs to a run. The process does not wait for it, as it may hang in code of the user's."""

    def __init__(self, name: str, work: Callable[[], None]):
        super().__init__(target=work, name=name, daemon=True)


def left_behind() -> list[str]:
    """Returns the names of all threads of runs that have not ended."""
    return [thread.name for thread in threading.enumerate() if isinstance(thread, CrewThread)]


class RunError(Exception):
    """A run did not end as it should. The message is one line."""


class Stalled(RunError):
    """The run was ended because nothing moved any more."""


class Crew:
    """A crew is the named threads of a run. When one fails, or `stop` is called, all are woken and asked to end.

    error: the exception that stopped the crew; None if `stop` was called without one.

    Python runs signal handlers in the main thread only, and not while that is blocked inside a TensorFlow op. So the
    main thread waits for the crew, and the crew does all the work.
    """

    def __init__(self) -> None:
        self._wakers: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self.error: BaseException | None = None

    @property
    def stopping(self) -> bool:
        """Returns whether the crew has been asked to end."""
        return self._stopping.is_set()

    def on_stop(self, wake: Callable[[], None]) -> None:
        """Registers `wake`, which is called once when the crew begins to stop, to unblock threads that wait."""
        self._wakers.append(wake)

    def start(self, name: str, work: Callable[[], None]) -> None:
        """Runs `work` once in a thread of its own. Its exceptions after a stop follow from the stop and are dropped."""

        def guarded_work() -> None:
            try:
                work()
            except BaseException as error:
                self.stop(error)

        thread = CrewThread(name, guarded_work)
        self._threads.append(thread)
        thread.start()

    def stop(self, error: BaseException | None = None) -> None:
        """Asks all threads to end. Only the first call counts, so that `error` is the cause and not a consequence."""
        with self._lock:
            if self._stopping.is_set():
                return
            self.error = error
            self._stopping.set()
        for wake in self._wakers:
            wake()

    def wait(self, timeout: float) -> bool:
        """Waits until the crew is stopping, at most `timeout` seconds. Returns whether it is."""
        return self._stopping.wait(timeout)

    def join(self, timeout: float) -> list[str]:
        """Waits for all threads to end, at most `timeout` seconds. Returns the names of those that have not ended."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.running()

    def running(self) -> list[str]:
        """Returns the names of the threads that have not ended."""
        return [thread.name for thread in self.alive()]

    def alive(self) -> list[threading.Thread]:
        """Returns the threads that have not ended."""
        return [thread for thread in self._threads if thread.is_alive()]


class Closed(Exception):
    """The run ends, so waiting is over."""


class Turns:
    """Lets `num` threads work at the same time; the others get their turns in the order in which they came.

    threading.Semaphore keeps no order: a thread that gives its turn back and wants the next one gets it before those
    that are still asleep, again and again.
    """

    def __init__(self, num: int):
        self._free = num
        self._holders: list[int] = []
        self._waiting: collections.deque[tuple[int, threading.Event]] = collections.deque()
        self._lock = threading.Lock()
        self._closed = False

    def acquire(self) -> None:
        """Waits for a turn. Raises Closed when the turns are closed."""
        me = threading.get_ident()
        with self._lock:
            if self._closed:
                raise Closed
            if self._free:
                self._free -= 1
                self._holders.append(me)
                return
            given = threading.Event()
            self._waiting.append((me, given))
        given.wait()
        if self._closed:
            raise Closed

    def release(self) -> None:
        """Gives the turn to the thread that has waited longest."""
        self.pass_on(threading.get_ident())

    def pass_on(self, thread: int) -> bool:
        """Gives a turn of another thread to the one that has waited longest; what has it may hang.

        The thread's own `release` does nothing then. Returns whether it had a turn.
        """
        with self._lock:
            if thread not in self._holders:
                return False
            self._holders.remove(thread)
            if self._waiting:
                next_thread, given = self._waiting.popleft()
                self._holders.append(next_thread)
                given.set()
            else:
                self._free += 1
            return True

    def close(self) -> None:
        """Lets all that wait, and all that come, raise Closed."""
        with self._lock:
            self._closed = True
            for _, given in self._waiting:
                given.set()


class Slot:
    """Holds one object on its way between two threads, like the StagingArea of the released code."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._items: list = []
        self._closed = False

    def put(self, item: object) -> None:
        """Waits until the slot is empty and fills it. Raises Closed when the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or not self._items)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._condition.notify_all()

    def get(self):
        """Waits until the slot is full and empties it. Raises Closed when the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._items)
            if self._closed:
                raise Closed
            self._condition.notify_all()
            return self._items.pop()

    def close(self) -> None:
        """Lets both sides raise Closed from now on."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
