"""Traces some seconds of a run, for TensorBoard's profiler or ui.perfetto.dev; see docs/performance.md."""

import pathlib

import tensorflow as tf

from impala_tf.records.metrics import Metrics

START_SECS = 1.0  # The trace begins so long after this process' first update.
SECS = 2.0  # The trace is so long; a second of CartPole makes some MiB.


class Profile:
    """A profile is a trace that `tick`, called now and then, starts and ends.

    TensorFlow's own ops are in the trace, and every block that `Metrics.timer` times, by its name.
    """

    def __init__(self, logdir: pathlib.Path, metrics: Metrics):
        self._logdir = logdir
        self._metrics = metrics
        self._ends_at: float | None = None
        self.done = False

    def tick(self) -> None:
        """Starts or ends the trace when it is time to."""
        seconds = self._metrics.seconds_here
        if self.done or seconds < START_SECS:
            return
        if self._ends_at is None:
            self._ends_at = seconds + SECS
            tf.profiler.experimental.start(str(self._logdir))
            self._metrics.trace = tf.profiler.experimental.Trace
        elif seconds >= self._ends_at:
            self.stop()

    def stop(self) -> None:
        """Ends the trace and writes it to LOGDIR/plugins/profile, if it has begun."""
        if self._ends_at is not None and not self.done:
            self.done = True
            self._metrics.trace = None
            tf.profiler.experimental.stop()
