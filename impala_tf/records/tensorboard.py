"""Writes TensorBoard's event files. Its own writer takes a row at once; tf.summary would be an op for each number."""

import contextlib
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DataType
from tensorboard.summary.writer.record_writer import RecordWriter

from impala_tf.support.messages import warn

# Columns stand in these groups on TensorBoard's pages; a column that is not here stands in "run".
_GROUPS = {
    "losses": ("total", "policy_gradient", "baseline", "entropy", "gradient_norm"),
    "policy": ("mean_entropy", "ratio_mean", "ratio_max", "ratio_min", "ratio_clipped_fraction"),
    "episodes": ("episodes", "episode_return", "episode_length", "episode_return_last_100"),
    "normalised": ("normalised_mean", "normalised_median", "normalised_mean_capped"),
}
_TAGS = {name: f"{group}/{name}" for group, names in _GROUPS.items() for name in names}


def tag_of(column: str) -> str:
    """Returns GROUP/COLUMN; a column whose name has a slash is its own tag."""
    return column if "/" in column else _TAGS.get(column, f"run/{column}")


class TensorBoardWriter:
    """Writes events into a log directory. A step is a number of environment frames.

    When the file cannot be written that is said once, and TensorBoard gets no more: what follows a half record is lost.
    """

    def __init__(self, logdir: pathlib.Path):
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self._path = logdir / name
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._has_failed = False
        with self._said_once():
            self._file = self._path.open("wb")
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """Adds one point for each column. scalars: numbers by column."""
        values = [Summary.Value(tag=tag_of(name), simple_value=value) for name, value in scalars.items()]
        self._add(step, summary=Summary(value=values))

    def add_text(self, step: int, name: str, text: str) -> None:
        """Adds a note to the TEXT page."""
        tensor = TensorProto(dtype=DataType.DT_STRING, string_val=[text.encode()])
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add(step, summary=Summary(value=[Summary.Value(tag=name, metadata=metadata, tensor=tensor)]))

    def restart_after(self, step: int) -> None:
        """Makes TensorBoard drop what earlier files have after `step`."""
        self._add(step + 1, session_log=SessionLog(status=SessionLog.START))

    def flush(self) -> None:
        with self._lock, self._said_once():
            if self._file:
                self._file.flush()

    def close(self) -> None:
        with self._lock, self._said_once():
            if self._file:
                self._file.close()

    def _add(self, step: int, **content) -> None:
        self._write(Event(step=step, wall_time=time.time(), **content))

    def _write(self, event: Event) -> None:
        with self._lock, self._said_once():
            if self._file and not self._has_failed:
                RecordWriter(self._file).write(event.SerializeToString())

    @contextlib.contextmanager
    def _said_once(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._has_failed:
                warn(f"{self._path} cannot be written ({error.strerror}); TensorBoard gets no more of this run")
            self._has_failed = True
