"""Counts what comes from hosts of actors and what goes to them, for metrics.csv."""

import time


class Traffic:
    """The feeder's thread writes these numbers, and the main thread reads them.

    actors: number of actors that are there. restarts: number of times that a host was lost and started again.
    bytes_in: bytes of all unrolls so far. weight_puts: number of versions of the weights that were handed out.
    """

    def __init__(self) -> None:
        self.actors = 0
        self.restarts = 0
        self.bytes_in = 0
        self.weight_puts = 0
        self._last = (time.monotonic(), 0, 0)

    def columns(self) -> dict[str, float]:
        """Returns the columns of a row; rates are those since the last call."""
        last, bytes_in, weight_puts = self._last
        self._last = time.monotonic(), self.bytes_in, self.weight_puts
        seconds = max(self._last[0] - last, 1e-9)
        return {
            "actors_alive": self.actors,
            "actor_restarts": self.restarts,
            "unroll_mb_per_sec": (self._last[1] - bytes_in) / seconds / 1e6,
            "weight_puts_per_sec": (self._last[2] - weight_puts) / seconds,
        }
