"""Changes what an export says of itself, as whoever exports it would."""

import json
import pathlib
from collections.abc import Callable

from impala_tf.records.exports import INFO_FILE, write_info


def change_info(directory: pathlib.Path, change: Callable[[dict], object]) -> None:
    """Lets `change` change the fields of the export's impala_tf.json, whose checksums are right afterwards."""
    fields = json.loads((directory / INFO_FILE).read_text())
    change(fields)
    write_info(directory, {name: value for name, value in fields.items() if name not in ("files", "sha256")})
