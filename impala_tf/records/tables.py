"""CSV files that grow row by row while a run goes on."""

import csv
import pathlib
from collections.abc import Iterable, Sequence

from impala_tf.records.files import write_text

TABLES = ("metrics.csv", "episodes.csv", "evaluations.csv")  # The files of a run.
FRAMES = "environment_frames"  # This column is in each of them.


def append_rows(path: pathlib.Path, header: Sequence[str], rows: Iterable[Sequence]) -> None:
    """Appends rows; a file that is new or empty gets the header first."""
    is_new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(header)
        writer.writerows(rows)


def read_rows(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows by column; a file that does not exist has none."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def drop_rows_after(path: pathlib.Path, environment_frames: int) -> None:
    """Drops the rows of later frames, and a last row that was not written to its end.

    They belong to updates that came after the checkpoint that a run is resumed from, and will be made again.
    """
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    if not lines:
        return
    header, *rows = lines
    column = header.strip().split(",").index(FRAMES)
    kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[column]) <= environment_frames]
    if len(kept) < len(rows):
        write_text(path, "".join([header, *kept]))
