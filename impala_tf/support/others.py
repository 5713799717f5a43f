"""Ends a process that is joined to others, or has threads that hang."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator

import psutil

from impala_tf.config import SettingError
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.support.messages import warn
from impala_tf.support.threads import left_behind

INTERRUPTED = 130  # Exit code of a shell's command that a second Ctrl-C has ended: 128 and the signal's number.
LOST = 3  # Exit code of a process that ends because another one is gone.


class LearnersLost(Exception):
    """Another learner has ended or does not answer, so no update is possible any more. The message is one line."""


@contextlib.contextmanager
def ending_with_others() -> Iterator[None]:
    """Ends the process with one line and exit code 3 when its block raises LearnersLost.

    The process ends at once and saves nothing: threads that wait for a learner that is gone could keep it from its end.
    """
    try:
        yield
    except LearnersLost as error:
        warn(str(error))
        kill_children()
        _end(LOST)


def kill_children() -> None:
    """Ends all processes that this one has started: environments and actors, which nobody else would end.

    Python's tracker of shared memory stays: it removes what the others leave behind, and ends by itself.
    """
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if not any("resource_tracker" in part for part in child.cmdline()):
                    child.kill()


@contextlib.contextmanager
def ending_at_once(usage_error: int) -> Iterator[None]:
    """Ends the process after its block. TensorFlow may crash when the interpreter takes a cluster down.

    usage_error: exit code after a SettingError, which is said in one line. After another exception it is 1, else 0.
        An environment's failure is said in one line, too.
    """
    code = 0
    try:
        yield
    except SettingError as error:
        warn(str(error))
        code = usage_error
    except EnvironmentFailure as failure:
        warn(str(failure))
        code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    _end(code)


@contextlib.contextmanager
def ending_despite_threads() -> Iterator[None]:
    """Ends the process after its block, at once, when threads of a run have not ended.

    The interpreter's own end would wait for what hangs in them, or crash. The exit code, and what is printed, are those
    that the end would have had.
    """
    code = 0
    try:
        yield
    except SystemExit as end:
        if not left_behind():
            raise
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        if not left_behind():
            raise
        sys.excepthook(type(error), error, error.__traceback__)
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    if left_behind():
        kill_children()
        _end(code)


def _end(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # Nobody reads it any more, or it is closed.
            stream.flush()
    os._exit(code)
