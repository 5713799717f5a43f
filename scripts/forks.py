"""Runs functions in forks of one process that has imported everything, so that none of them waits for imports.

The process itself must not run any op of TensorFlow: its threads would be missing in the forks.
"""

import contextlib
import faulthandler
import importlib
import os
import pathlib
import signal
import sys
import time
import traceback
from collections.abc import Callable

STACK_SECS = 1.0  # A fork that hangs has so long to write down where.


def import_all() -> None:
    """Imports what runs need."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in (
        *("tensorflow", "keras", "tensorflow_probability", "gymnasium", "absl.app", "tqdm", "psutil", "impala_tf"),
        *("impala_tf.running.training", "impala_tf.running.launcher", "impala_tf.evaluation.evaluate_exports"),
        *("impala_tf.evaluation.export", "impala_tf.records.logdir", "impala_tf.support.command_line"),
    ):
        importlib.import_module(name)


def start(work: Callable[[], None], output: pathlib.Path) -> int:
    """Calls a function in a fork with a process group of its own, and returns the id of both.

    output: file that gets what is printed, and the stacks of all threads when SIGUSR2 comes.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_run(work, output))
    with contextlib.suppress(ProcessLookupError, PermissionError):  # The fork does it too; whoever comes first.
        os.setpgid(child, child)
    return child


def _run(work: Callable[[], None], output: pathlib.Path) -> int:
    """Returns the exit code that the function would have as a program."""
    with contextlib.suppress(PermissionError):
        os.setpgid(0, 0)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR2, all_threads=True)
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def wait(child: int, limit_secs: float) -> int | None:
    """Waits for a fork and ends what it leaves behind. Returns its exit code; None when it was not through in time."""
    deadline = time.monotonic() + limit_secs
    code = None
    while code is None and time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if pid else None
        time.sleep(0.005)
    if code is None:
        os.kill(child, signal.SIGUSR2)
        time.sleep(STACK_SECS)
    with contextlib.suppress(ProcessLookupError):  # Also environments and actors in processes of their own.
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    return code
