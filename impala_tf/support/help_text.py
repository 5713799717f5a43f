"""Writes the text of --help, which shows the flags that many people use, and of --helpfull, which shows all."""

import dataclasses
import shutil
import textwrap
from collections.abc import Callable, Iterable
from typing import NamedTuple

from impala_tf.settings.setting import COMMON, as_text

NARROWEST, WIDEST = 80, 110  # The text has so many columns, depending on the terminal.
COLUMN_OF_TEXT = 38


class Entry(NamedTuple):
    """An entry has a flag with its default, as in "--seed=1", and the explanation of the flag."""

    flag: str
    text: str


class Section(NamedTuple):
    heading: str
    entries: list[Entry]


def common_settings(groups: Iterable[type]) -> list[Section]:
    """Returns the settings with the role COMMON: the first sentence of the help, choices and unit."""
    return _sections(groups, lambda field: COMMON in field.metadata["roles"], _brief)


def all_settings(groups: Iterable[type]) -> list[Section]:
    """Returns every setting, with the whole help, unit and source."""
    return _sections(groups, lambda field: True, explanation)


def explanation(field: dataclasses.Field) -> str:
    """Returns the whole help of a setting, with its unit and its source."""
    notes = [f"[{key}: {field.metadata[key]}]" for key in ("unit", "source") if field.metadata[key]]
    return " ".join([field.metadata["help"], *notes])


def page(usage: str, sections: Iterable[Section], in_columns: bool, footer: str) -> str:
    """Puts the text together.

    usage: text above the flags.
    in_columns: whether explanations stand beside the flags; otherwise they stand below them.
    footer: text below the flags.
    """
    width = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
    blocks = [usage.strip()]
    for heading, entries in sections:
        lines = [_in_columns(entry, width) if in_columns else _below(entry, width) for entry in entries]
        blocks.append("\n".join([heading, *lines]))
    blocks.append(textwrap.fill(footer, width))
    return "\n\n".join(blocks)


def _sections(
    groups: Iterable[type],
    is_shown: Callable[[dataclasses.Field], bool],
    text_of: Callable[[dataclasses.Field], str],
) -> list[Section]:
    sections = []
    for group in groups:
        shown = [field for field in dataclasses.fields(group) if is_shown(field)]
        entries = [Entry(f"--{field.name}={as_text(field.default)}", text_of(field)) for field in shown]
        if entries:
            sections.append(Section(f"{group.__name__}: {group.__doc__}", entries))
    return sections


def _brief(field: dataclasses.Field) -> str:
    sentence = field.metadata["help"].split(". ")[0].removesuffix(".") + "."
    notes = [", ".join(field.metadata["choices"]), field.metadata["unit"]]
    return " ".join([sentence, *(f"[{note}]" for note in notes if note)])


def _in_columns(entry: Entry, width: int) -> str:
    start = f"  {entry.flag}  ".ljust(COLUMN_OF_TEXT)
    return textwrap.fill(entry.text, width, initial_indent=start, subsequent_indent=" " * COLUMN_OF_TEXT)


def _below(entry: Entry, width: int) -> str:
    return f"  {entry.flag}\n" + textwrap.fill(entry.text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
