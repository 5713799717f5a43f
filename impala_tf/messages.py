"""Errors and spaces in one line, for messages to people."""

import pathlib
import re
import traceback

PACKAGE = str(pathlib.Path(__file__).parent)
LONGEST = 300


def one_line(value: object) -> str:
    """Arrays and errors print over several."""
    return " ".join(str(value).split())


def with_place(error: Exception) -> str:
    """An error of the user's code with the last line of it that it came through, neither ours nor a library's."""
    # Keras writes in colour and appends all arguments.
    text = one_line(re.sub(r"\x1b\[\d*m", "", str(error).partition("Arguments received")[0]))
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    ours = ("site-packages", PACKAGE)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not any(part in f.filename for part in ours)]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"
