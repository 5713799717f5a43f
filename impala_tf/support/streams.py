"""Keeps a process going whose output nobody reads any more: `| head`, a closed terminal, `2>&-`."""

import contextlib
import io
import os
import sys
from typing import Any


class _Lasting(io.FileIO):
    """This file drops what cannot be written, because its reader is gone or its disk is full."""

    def write(self, data):
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def open_all() -> None:
    """Opens stdin, stdout and stderr where they are closed, and lets writing to the latter two never fail.

    A descriptor that is closed would be that of the next file which the process opens, and messages would go there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = _lasting(sys.stdout, 1), _lasting(sys.stderr, 2)


def _lasting(stream: Any, number: int) -> io.TextIOWrapper:
    """Returns a stream like the one given, which is None where it was closed. number: its file descriptor."""
    settings: dict[str, Any] = dict(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
        settings = {name: getattr(stream, name) for name in (*settings, "write_through")}
    file: Any = _Lasting(number, "w", closefd=False)
    # With python -u and PYTHONUNBUFFERED nothing may wait in a buffer.
    return io.TextIOWrapper(file if settings.get("write_through") else io.BufferedWriter(file), **settings)
