"""SIGINT (Ctrl-C) and SIGTERM as a request to stop."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def calling(stop: Callable[[], None]) -> Iterator[None]:
    """Within the block the first signal calls stop(); a second one acts as usual, at once.

    Python handles signals in the main thread only, so in another thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, _frame) -> None:
        restore()
        print(f"\nimpala_tf: {signal.Signals(number).name}: finishing the update in hand, then saving", file=sys.stderr)
        stop()

    for number in _SIGNALS:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
