"""SIGINT (Ctrl-C) and SIGTERM as a request to stop."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# `timeout` and batch systems signal the process and its group: one wish to stop, several signals.
SAME_WISH_SECS = 1.0


class Request:
    """made: whether a signal has come. To be polled: a handler that took a lock could wait for its own thread."""

    made = False


@contextlib.contextmanager
def requests(answer: str = "finishing the update in hand, then saving") -> Iterator[Request]:
    """Within the block the first signal is noted in the Request and answered; one that comes more than a second later
    acts as usual.

    Python handles signals in the main thread only, so in another thread nothing is ever noted.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    first: float | None = None

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _frame) -> None:
        nonlocal first
        if first is not None:
            if time.monotonic() - first > SAME_WISH_SECS:
                restore()
                signal.raise_signal(number)
            return
        first = time.monotonic()
        request.made = True
        # Not print: the signal may have come in the middle of one.
        text = f"\nimpala_tf: {signal.Signals(number).name}: {answer}\n"
        os.write(2, text.encode())

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
