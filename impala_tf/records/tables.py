"""Writes CSV files that grow row by row while a run goes on."""

import csv
import pathlib
from collections.abc import Iterable, Sequence

from impala_tf.records.files import write_text

TABLES = ("metrics.csv", "episodes.csv", "evaluations.csv")  # The files of a run.
FRAMES = "environment_frames"  # This column is in each of them.


def append_rows(path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Appends rows; a file that is new or empty gets the header first.

    A file may have other columns: an earlier version began it, or another algorithm. Then it gets those that it lacks,
    every value goes to the column of its name, and nan stands where a row has no value.
    """
    columns = _columns(path)
    missing = [name for name in header if name not in columns]
    if columns and missing:
        columns = _add_columns(path, columns, missing)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns or header, restval="nan")
        if not columns:
            writer.writeheader()
        writer.writerows(dict(zip(header, row, strict=True)) for row in rows)


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


def drop_rows_after(path: pathlib.Path, environment_frames: int) -> None:
    """Drops the rows of later frames, and a last row that was not written to its end.

    They belong to updates after the checkpoint from which a run is resumed; these updates will be made again.
    """
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    if not lines:
        return
    header, *rows = lines
    column = header.strip().split(",").index(FRAMES)
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[column]) <= environment_frames]
    if len(kept) < len(rows):
        write_text(path, "".join([header, *kept]))
