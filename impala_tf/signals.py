"""SIGINT (Ctrl-C) and SIGTERM as a request to stop."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Request:
    """made: whether a signal has come. To be polled: a handler that took a lock could wait for its own thread."""

    made = False


@contextlib.contextmanager
def requests(answer: str = "finishing the update in hand, then saving") -> Iterator[Request]:
    """Within the block the first signal is noted in the Request and answered; a second one acts as usual.

    Python handles signals in the main thread only, so in another thread nothing is ever noted.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _frame) -> None:
        request.made = True
        restore()
        # Not print: the signal may have come in the middle of one.
        text = f"\nimpala_tf: {signal.Signals(number).name}: {answer}\n"
        os.write(2, text.encode())

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        restore()
