"""Puts errors, spaces and numbers into one line, for messages to people."""

import os
import pathlib
import re
import sys
import sysconfig
import traceback

import tqdm

# Code below these directories was not written by the user.
_IMPALA_TF, _PYTHON = pathlib.Path(__file__).parent.parent, pathlib.Path(sysconfig.get_paths()["stdlib"])
_NOT_THE_USERS = (f"{_IMPALA_TF}{os.sep}", f"{_PYTHON}{os.sep}", "site-packages", "<frozen")
LONGEST = 300  # A message has at most so many characters of an error's text.


def warn(line: str) -> None:
    """Prints a line on stderr, above the progress bar if there is one.

    Characters that could control the terminal are escaped: what a line quotes may come from a stranger's file.
    """
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
    tqdm.tqdm.write(f"impala_tf: {shown}", file=sys.stderr)


def one_line(value: object) -> str:
    """Returns the value's text without line breaks; arrays and errors print over several lines."""
    return " ".join(str(value).split())


def number(value: float) -> str:
    """Rounds to four digits, and from 1000 on to whole numbers with commas."""
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def place_in_dump(dump: str) -> str:
    """Returns the innermost line of the user's code in a dump of `faulthandler`, as " (FILE, line N)"; "" without one.

    The most recent call is the first of a thread there.
    """
    for name, line in re.findall(r'File "(.+)", line (\d+)', dump):
        if not any(part in name for part in _NOT_THE_USERS):
            return f" ({name}, line {line})"
    return ""


def with_place(error: Exception) -> str:
    """Says an error of the user's code in one line, with the last line of that code that it came through."""
    # Keras writes in colour and appends the arguments of the call.
    text = one_line(re.sub(r"\x1b\[\d*m", "", str(error).partition("Arguments received")[0]))
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return f"{type(error).__name__}: {text}{own_place(traceback.extract_tb(error.__traceback__))}"


def own_place(frames: traceback.StackSummary) -> str:
    """Returns " (FILE, line N)" of the innermost frame of the user's code; "" where none is."""
    own = [frame for frame in frames if not any(part in frame.filename for part in _NOT_THE_USERS)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
