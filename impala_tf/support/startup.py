"""Imports TensorFlow without its start-up noise on the terminal."""

import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from impala_tf.support import working_directory

# TensorFlow's C++ side prints these before its own log level applies: information, and the lack of a GPU driver.
_NOISE = (
    r"I\d{4} \d\d:\d\d:|WARNING: All log messages before absl::InitializeLog|To enable the following instructions"
    r"|E\d{4} \d\d:\d\d:.* failed call to cuInit: .*\(303\)|E\d{4} \d\d:\d\d:.* oneDNN supports DT_INT32 only"
)
_FILTER = f"""
import re, sys
for line in sys.stdin.buffer:
    if not re.match({_NOISE.encode()!r}, line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


@contextlib.contextmanager
def _filtered_stderr() -> Iterator[None]:
    """Sends this process's stderr through a filter, whose own process survives a crash of this one."""
    sys.stderr.flush()
    real = os.dup(2)
    filtering = subprocess.Popen(  # Ctrl-C, which goes to all processes of a terminal's session, is not for it.
        [sys.executable, "-ISc", _FILTER], stdin=subprocess.PIPE, stderr=real, start_new_session=True
    )
    assert filtering.stdin is not None
    os.dup2(filtering.stdin.fileno(), 2)
    filtering.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(real, 2)
        os.close(real)
        with contextlib.suppress(subprocess.TimeoutExpired):  # A child process may still hold the pipe.
            filtering.wait(timeout=1)


def import_own(module: str) -> Any:
    """Imports a module of the user, which may import TensorFlow."""
    if module in sys.modules:
        return sys.modules[module]
    working_directory.find_named(module)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _filtered_stderr():
        return importlib.import_module(module)


def import_tensorflow(before_first_op: Callable[[], Any] = lambda: None) -> Any:
    """Imports TensorFlow and lists its devices, which prints most. Errors and unknown lines are not hidden.

    before_first_op: function that is called between the import and the first op, which some things must come before.

    Returns what that function returned.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # From here on it prints errors only.
    with _filtered_stderr():
        import tensorflow as tf

        made = before_first_op()
        tf.config.list_logical_devices()
        tf.transpose(tf.zeros([2, 2], tf.int32))  # The first transpose on a processor without AVX-512 prints a line.
    return made
