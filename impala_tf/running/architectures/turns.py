"""Turns: at most --concurrent_actors actors act at the same time."""

import contextlib
from collections.abc import Iterator

from impala_tf.running.run import Run


@contextlib.contextmanager
def turn_to_act(run: Run) -> Iterator[None]:
    """Waits for a turn, runs its block and gives the turn back, also when the block fails.

    Who waits for new weights must do that outside: the actors that would bring the update about may need the turn.
    """
    with run.metrics.timer("turn"):
        run.turns.acquire()
    try:
        yield
    finally:
        run.turns.release()
