"""Takes SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal is closed) for a request to stop."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

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
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    if before.get(_HANGUP) == signal.SIG_IGN:  # `nohup` asked for that.
        del before[_HANGUP]
    first: float | None = None

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _frame) -> None:
        nonlocal first
        if first is not None:
            if time.monotonic() - first > SAME_REQUEST_SECS:
                restore()
                signal.raise_signal(number)
            return
        first = time.monotonic()
        request.made = True
        # The signal may have come in the middle of a print, which must not be entered again.
        text = f"\nimpala_tf: {signal.Signals(number).name}: {answer}\n"
        with contextlib.suppress(OSError):  # The terminal that is closed was stderr.
            os.write(2, text.encode())

    for number in before:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
