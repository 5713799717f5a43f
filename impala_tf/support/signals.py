"""Takes SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is closed) for a request to stop."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

# Windows has no SIGHUP.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_HANGUP = getattr(signal, "SIGHUP", None)
# `timeout` and batch systems signal the process and also its group, so that one request arrives as several signals.
SAME_REQUEST_SECS = 1.0


class Request:
    """A request says whether somebody wants the program to stop.

    made: whether a signal has come. The main thread polls it, because a handler that took a lock could wait for the
        thread that it interrupts.
    """

    made = False


class Ending:
    """This handler ends the process at once, by the signal that came, with one line on stderr.

    An exception in its place could be raised anywhere, such as in the middle of an import, and be dropped there.

    answer: text of the line. on_end: function that is called before the end.
    """

    def __init__(self) -> None:
        self.answer = "ended"
        self.on_end: Callable[[], None] = _nothing
        self._process = os.getpid()
        self._stderr = os.dup(2)  # While TensorFlow is imported, 2 is another process, which is ended too.

    def __call__(self, number: int, _frame) -> None:
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        if os.getpid() == self._process:  # A forked child has the handler, too.
            _say(self._stderr, number, self.answer)
            with contextlib.suppress(Exception):
                self.on_end()
            others = sys.modules.get("impala_tf.support.others")
            with contextlib.suppress(Exception):  # Before it is imported there are no children.
                others.kill_children()  # type: ignore[union-attr]
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
        os._exit(128 + number)  # The first process of a container survives its own signal.


def _nothing() -> None:
    """Does nothing."""


def end_at_once() -> None:
    """Lets the signals end the process by an `Ending`, except in a thread that is not the main one."""
    if threading.current_thread() is threading.main_thread():
        handler = Ending()
        for number in _heeded():
            signal.signal(number, handler)


def ending() -> Ending | None:
    """Returns the handler that `end_at_once` has put in place; None where there is none, or another is now."""
    handler = signal.getsignal(signal.SIGINT)
    return handler if isinstance(handler, Ending) else None


@contextlib.contextmanager
def ending_with(answer: str, on_end: Callable[[], None] = _nothing) -> Iterator[None]:
    """Gives the `Ending`, if there is one, this answer and this function within the block."""
    handler = ending()
    if handler is None:
        yield
        return
    before = handler.answer, handler.on_end
    handler.answer, handler.on_end = answer, on_end
    try:
        yield
    finally:
        handler.answer, handler.on_end = before


@contextlib.contextmanager
def requests(answer: str = "finishing the update in hand, then saving") -> Iterator[Request]:
    """Notes the first signal within the block in the Request, and answers it with a line on stderr.

    answer: text of that line, which says what the program does now.

    A signal that comes more than a second after the first acts as usual. Python handles signals in the main thread
    only, so in another thread nothing is ever noted.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _heeded()}
    first: float | None = None

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _frame) -> None:
        nonlocal first
        if first is not None:
            if time.monotonic() - first > SAME_REQUEST_SECS:
                restore()
                usual = ending()
                if usual:
                    usual.answer = "ended at once; what was saved before is kept"
                signal.raise_signal(number)
            return
        first = time.monotonic()
        request.made = True
        _say(2, number, answer)

    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()


def _heeded() -> list[int]:
    """Returns the signals that end a run. `nohup` has asked that a closed terminal does not."""
    return [number for number in _SIGNALS if number != _HANGUP or signal.getsignal(number) != signal.SIG_IGN]


def _say(descriptor: int, number: int, text: str) -> None:
    """Writes a line. The signal may have come in the middle of a print, which must not be entered again."""
    with contextlib.suppress(OSError):  # The terminal that is closed was stderr.
        os.write(descriptor, f"\nimpala_tf: {signal.Signals(number).name}: {text}\n".encode())
