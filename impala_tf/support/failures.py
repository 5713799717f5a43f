"""Says in one line how an environment failed."""

import pathlib
import traceback
from typing import NamedTuple

from impala_tf.config import SettingError
from impala_tf.support.messages import with_place

LONGEST_TRACE = 20_000  # A traceback has at most so many characters, of which the last ones say most.


class EnvironmentFailure(Exception):
    """An environment has raised an exception, or its process has died or does not answer. The message is one line.

    trace: traceback of the exception where it was raised; "" if there is none.
    """

    def __init__(self, message: str, trace: str = ""):
        super().__init__(message, trace)
        self.trace = trace

    def __str__(self) -> str:
        return self.args[0]

    def keep_trace(self, path: pathlib.Path) -> None:
        """Writes the traceback into a file, which the message names from now on. Does nothing without a traceback."""
        if self.trace:
            path.write_text(f"{self}\n\n{self.trace}")
            self.args = (f"{self}; the traceback is in {path}", self.trace)


class Failed(NamedTuple):
    """An environment has failed in this way. It can be sent from one process to another.

    text: what happened, as the rest of a sentence that begins with the environment's name.
    trace: traceback of the exception; "" if there is none.
    is_wrong: whether the environment emits what none may emit, so that a new one would do the same.
    """

    text: str
    trace: str = ""
    is_wrong: bool = False

    @classmethod
    def of(cls, error: Exception, method: str) -> "Failed":
        """Describes an exception. method: name of the environment's method that raised it."""
        trace = "".join(traceback.format_exception(error))[-LONGEST_TRACE:]
        if isinstance(error, SettingError):
            return cls(str(error), trace, is_wrong=True)
        return cls(f"raised in its {method}: {with_place(error)}", trace)
