"""Hands out turns, so that at most --concurrent_actors actors act at the same time."""

import contextlib
from collections.abc import Iterator

from impala_tf.running.run import Run
from impala_tf.support.threads import Closed


@contextlib.contextmanager
def turn_to_act(run: Run) -> Iterator[None]:
    """Waits for a turn, runs its block and gives the turn back, also when the block fails.

    An actor must wait for new weights outside: other actors may need the turn for the update that it waits for.
    """
    with run.metrics.timer("turn"):
        run.turns.acquire()
    try:
        if run.crew.stopping:  # The run ended while this thread waited; another unroll would keep it from its end.
            raise Closed
        yield
    finally:
        run.turns.release()
