"""Notes where a thread is, so that another one can say who is stuck."""

import threading
import time


class Place:
    """A place says in which block of work or of waiting a thread is.

    what: name of the block; "" is outside of all.
    since: time.perf_counter() when the thread came there.
    thread: identifier of the thread (threading.get_ident).

    Only the thread itself writes it. Others read it without a lock, which costs the thread nothing: what they read may
    be a moment old, and they look for places that have not changed for seconds.
    """

    __slots__ = ("since", "thread", "what")

    def __init__(self) -> None:
        self.enter("")

    def enter(self, what: str) -> None:
        """Notes that this thread has just come to the block `what`."""
        self.what = what
        self.since = time.perf_counter()
        self.thread = threading.get_ident()
