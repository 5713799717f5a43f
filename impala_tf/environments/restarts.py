"""Says how often environments may be made anew, and how soon."""

import collections
import threading
import time
from collections.abc import Callable

from impala_tf.support.failures import EnvironmentFailure
from impala_tf.support.messages import warn

HOUR_SECS = 3600.0
# An environment that fails before it has made a step is made anew after the first time, then after twice the time, ...
FIRST_WAIT_SECS, LONGEST_WAIT_SECS = 0.1, 4.0
SAID_AT_ONCE = 5  # So many restarts have a line each; later ones have one a minute.
MINUTE_SECS = 60.0


class Restarts:
    """Counts the restarts of the environments of this process, whose actors share it.

    max_per_hour: number of restarts in any hour; 0 allows none (--max_env_restarts).
    on_restart: function that is called at each restart.
    """

    def __init__(self, max_per_hour: int, on_restart: Callable[[], None] = lambda: None):
        self._max = max_per_hour
        self._on_restart = on_restart
        self._lock = threading.Lock()
        self._failures: collections.deque[tuple[float, EnvironmentFailure]] = collections.deque()
        self._count = 0
        self._last_said = 0.0

    def take(self, failure: EnvironmentFailure, name: str) -> None:
        """Takes one restart. name: name of the environment that has failed.

        Raises the failure where no restarts are allowed, and the first failure of the last hour when they are used up.
        """
        if not self._max:
            raise failure
        now = time.monotonic()
        with self._lock:
            while self._failures and now - self._failures[0][0] > HOUR_SECS:
                self._failures.popleft()
            if len(self._failures) == self._max:
                first = self._failures[0][1]
                raise EnvironmentFailure(
                    f"{first}; now {name} has failed, and the restarts of an hour are used up "
                    f"(--max_env_restarts={self._max})",
                    first.trace or failure.trace,
                )
            self._failures.append((now, failure))
            self._count += 1
            count = self._count
            says = count <= SAID_AT_ONCE or now - self._last_said > MINUTE_SECS
            self._last_said = now if says else self._last_said
        self._on_restart()
        if says:
            warn(f"{failure}; it is made anew (restart {count})")


def wait_secs(failures_in_a_row: int) -> float:
    """Returns the time to wait before an environment is made anew.

    failures_in_a_row: number of its failures since it last made a step, before this one.
    """
    return min(FIRST_WAIT_SECS * 2 ** (failures_in_a_row - 1), LONGEST_WAIT_SECS) if failures_in_a_row else 0.0
