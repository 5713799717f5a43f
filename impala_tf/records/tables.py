"""Writes CSV files that grow row by row while a run goes on, and reads what a crash or somebody else left in them."""

import csv
import datetime
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from impala_tf.records.files import replacing, write_text

TABLES = ("metrics.csv", "episodes.csv", "evaluations.csv")  # The files of a run.
FRAMES = "environment_frames"  # This column is in each of them.
LONGEST_LINE = 1 << 20  # A line with more bytes is no row.
MOST_NUMBERS = 3  # A message has the numbers of so many lines.
MOST_HELD = 100_000  # So many rows wait at most until they can be written.


def append_rows(path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence], sync: bool = False) -> None:
    """Appends rows; a file that is new or empty gets the header first.

    A file may have other columns: an earlier version began it, or another algorithm. Then it gets those that it lacks,
    every value goes to the column of its name, and nan stands where a row has no value.

    sync: whether to wait until the rows are on the disk.
    Raises OSError when the rows cannot be written; the file is then as it was.
    """
    columns = _columns(path)
    missing = [name for name in header if name not in columns]
    if columns and missing:
        columns = _add_columns(path, columns, missing)
    size = path.stat().st_size if path.exists() else 0
    try:
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, columns or header, restval="nan")
            if not columns:
                writer.writeheader()
            writer.writerows(dict(zip(header, row, strict=True)) for row in rows)
            file.flush()
            if sync:
                os.fsync(file.fileno())
    except OSError:
        if path.exists():
            os.truncate(path, size)
        raise


def _columns(path: pathlib.Path) -> list[str]:
    """The names in the first line; none when the file is new or empty."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return next(csv.reader(file), [])


def _add_columns(path: pathlib.Path, columns: Sequence[str], missing: Sequence[str]) -> list[str]:
    """Adds columns without values to the rows of a file; returns all columns."""
    lines = path.read_text().splitlines()
    ends = [missing, *[["nan"] * len(missing)] * (len(lines) - 1)]
    write_text(path, "".join(f"{line},{','.join(end)}\n" for line, end in zip(lines, ends, strict=True)))
    return [*columns, *missing]


def read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """Returns the rows by column; a file that does not exist has none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Kept(NamedTuple):
    """This is what `drop_rows_after` left in a table.

    num_rows: number of rows that were kept. damage: one line about what was no row; "" if all were.
    """

    num_rows: int
    damage: str


def drop_rows_after(path: pathlib.Path, environment_frames: int) -> Kept:
    """Drops the rows of later frames, and lines that are no rows: torn, blank or foreign ones.

    Later rows belong to updates after the checkpoint from which a run is resumed; these updates will be made again.
    A file whose first line is not a header is set aside. The file is read line by line, as it may have millions.
    """
    if not path.exists() or path.stat().st_size == 0:
        return Kept(0, "")
    with path.open("rb") as file:
        header = file.readline(LONGEST_LINE)
        columns = _cells(header)
        if columns is None or FRAMES not in columns:
            aside = path.with_name(f"{path.name}.damaged-{datetime.datetime.now():%Y%m%d-%H%M%S}")
            path.rename(aside)
            return Kept(0, f"{path} does not begin with the names of its columns; it is {aside.name} now")
        num_rows, is_together, end = 0, True, len(header)
        damaged: list[int] = []
        for number, place, line, frames in _lines(file, columns):
            if frames is None:
                damaged.append(number)
            elif frames <= environment_frames:
                num_rows += 1
                is_together = is_together and place == end
                end = end + len(line) if is_together else end
        if not is_together:
            file.seek(len(header))
            with replacing(path) as copy:
                copy.write(header)
                copy.writelines(
                    line
                    for *_, line, frames in _lines(file, columns)
                    if frames is not None and frames <= environment_frames
                )
        elif end < path.stat().st_size:
            os.truncate(path, end)
    return Kept(num_rows, _about(path, damaged))


def _lines(file: BinaryIO, columns: list[str]) -> Iterator[tuple[int, int, bytes, int | None]]:
    """Yields the number of each line behind the header, its place in bytes, the line, and its frames.

    These are None where the line is no row.
    """
    column, place, number = columns.index(FRAMES), file.tell(), 1
    while line := file.readline(LONGEST_LINE):
        number += 1
        yield number, place, line, _frames(line, column, len(columns))
        place += len(line)


def _frames(line: bytes, column: int, num_columns: int) -> int | None:
    """Returns the number in a column of a row; None where the line is no row with so many columns."""
    if line.isascii() and b'"' not in line:  # Nearly all are so, and there may be millions.
        is_whole = line.endswith(b"\n") and line.count(b",") == num_columns - 1
        frames = line.split(b",", column + 1)[column].strip() if is_whole else b""
    else:
        cells = _cells(line)
        frames = cells[column].encode() if cells is not None and len(cells) == num_columns else b""
    return int(frames) if frames.isdigit() else None


def _cells(line: bytes) -> list[str] | None:
    """Returns the cells of a line; None where it was not written to its end, or is no text."""
    if not line.endswith(b"\n"):
        return None
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    return next(csv.reader([text]), []) if '"' in text else text.rstrip("\r\n").split(",")


def _about(path: pathlib.Path, damaged: list[int]) -> str:
    if not damaged:
        return ""
    some = ", ".join(map(str, damaged[:MOST_NUMBERS])) + (", ..." if len(damaged) > MOST_NUMBERS else "")
    return f"{path}: {len(damaged)} line{'s' * (len(damaged) > 1)} (number {some}) had no whole row and left the file"


class Table:
    """This file of rows grows while a run goes on. Rows that cannot be written are held until they can be.

    warn: function that gets one line when that begins, and one when it has ended.
    """

    def __init__(self, path: pathlib.Path, warn: Callable[[str], None]):
        self._path = path
        self._warn = warn
        self._held: list[tuple[tuple[str, ...], list]] = []
        self._is_failing = False
        self._num_lost = 0

    def append(self, header: Sequence[str], rows: Iterable[Sequence], sync: bool = False) -> None:
        """Appends rows, and those that are held; see `append_rows`."""
        self._held.append((tuple(header), list(rows)))
        try:
            while self._held:
                append_rows(self._path, *self._held[0], sync)
                self._held.pop(0)
        except OSError as error:
            while self._num_held() > MOST_HELD:
                self._num_lost += len(self._held.pop(0)[1])
            if not self._is_failing:
                self._warn(
                    f"{self._path} cannot be written ({error.strerror}); the run goes on, and keeps up to "
                    f"{MOST_HELD:,} rows for later"
                )
            self._is_failing = True
            return
        if self._is_failing:
            self._warn(f"{self._path} is written again; {self._num_lost or 'no'} rows are missing")
        self._is_failing, self._num_lost = False, 0

    def close(self) -> None:
        """Says what was never written."""
        if self._is_failing:
            self._warn(f"{self._path}: {self._num_held() + self._num_lost} rows were never written")

    def _num_held(self) -> int:
        return sum(len(rows) for _, rows in self._held)
