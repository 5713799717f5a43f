"""Errors, spaces and numbers in one line, for messages to people."""

import os
import pathlib
import re
import sys
import sysconfig
import traceback

import tqdm

# Where code is that the user did not write.
_OURS, _PYTHONS = str(pathlib.Path(__file__).parent), sysconfig.get_paths()["stdlib"]
_NOT_THE_USERS = (_OURS + os.sep, _PYTHONS + os.sep, "site-packages", "<frozen")
LONGEST = 300


def warn(line: str) -> None:
    """Prints a line on stderr, above the progress bar if there is one."""
    tqdm.tqdm.write(f"impala_tf: {line}", file=sys.stderr)


def one_line(value: object) -> str:
    """Arrays and errors print over several."""
    return " ".join(str(value).split())


def number(value: float) -> str:
    """Four digits, and large ones whole."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def with_place(error: Exception) -> str:
    """An error of the user's code with the last line of it that it came through."""
    # Keras writes in colour and appends all arguments.
    text = one_line(re.sub(r"\x1b\[\d*m", "", str(error).partition("Arguments received")[0]))
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(part in frame.filename for part in _NOT_THE_USERS)]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {text}{place}"
