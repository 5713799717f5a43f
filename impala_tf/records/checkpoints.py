"""Writes checkpoints, one file each, with the arrays of the learner and a JSON text for the Python side of the run.

files.py writes and reads them: a crash leaves either the old set of files or the new one.
"""

import pathlib
import re
import time
from collections.abc import Callable

import numpy as np

from impala_tf.records.files import DamagedFileError, read_npz, write_npz


class Checkpoints:
    """These are the checkpoints of one log directory, of which the newest `keep` stay.

    every_secs, every_updates: distance between two checkpoints; 0 turns either off.
    first_after_secs: time from the first update to the first checkpoint of a new run; None means `every_secs`.
    """

    def __init__(
        self,
        directory: pathlib.Path,
        keep: int,
        every_secs: float = 0.0,
        every_updates: int = 0,
        first_after_secs: float | None = None,
    ):
        self._directory = directory
        self._keep = keep
        self._every_secs = every_secs
        self._every_updates = every_updates
        self._first_after_secs = first_after_secs if every_secs > 0 or every_updates > 0 else None
        self._first_update_secs: float | None = None
        self._last_secs = time.monotonic()
        self._last_updates = 0
        self._is_failing = False
        self.loaded: pathlib.Path | None = None

    def paths(self) -> list[pathlib.Path]:
        """Returns the files, oldest first."""
        found = [p for p in self._directory.glob("checkpoint-*.npz") if re.fullmatch(r"checkpoint-\d+", p.stem)]
        return sorted(found, key=_number)

    def due(self, updates: int) -> bool:
        """Returns whether it is time to save. The learner asks after every update."""
        now = time.monotonic()
        self._first_update_secs = now if self._first_update_secs is None else self._first_update_secs
        first = self._first_after_secs is not None and now - self._first_update_secs >= self._first_after_secs
        by_time = self._every_secs > 0 and now - self._last_secs >= self._every_secs
        return first or by_time or 0 < self._every_updates <= updates - self._last_updates

    def save(self, updates: int, arrays: dict[str, np.ndarray], info: dict) -> pathlib.Path:
        """Writes checkpoint-UPDATES.npz and removes all but the newest `keep`.

        Raises FloatingPointError when an array is not finite, before anything is written.
        """
        wrong = not_finite(arrays)
        if wrong:
            raise FloatingPointError(f"update {updates}: {wrong} is not finite; the checkpoints before are kept")
        path = self._directory / f"checkpoint-{updates:010d}.npz"
        write_npz(path, arrays, info)
        # A checkpoint with a higher number was damaged, so this run skipped it; it must not count as the newest.
        sound = [p for p in self.paths() if _number(p) <= updates]
        for old in sound[: -self._keep]:
            old.unlink()
        self.saved(updates)
        return path

    def saved(self, updates: int) -> None:
        """Notes that the state after so many updates is in a checkpoint; the next one is due from here on."""
        self._first_after_secs = None
        self._is_failing = False
        self._last_secs = time.monotonic()
        self._last_updates = updates

    def put_off(self, updates: int) -> bool:
        """Notes that a checkpoint could not be written, so that the next one is due after the usual distance.

        Returns whether the one before could be.
        """
        is_first, self._is_failing = not self._is_failing, True
        self._first_after_secs = None
        self._last_secs, self._last_updates = time.monotonic(), updates
        return is_first

    def load_newest(
        self, warn: Callable[[str], None], before: pathlib.Path | None = None
    ) -> tuple[dict[str, np.ndarray], dict] | None:
        """Gives (arrays, info) of the newest checkpoint that is not damaged; None if there is none.

        Its bytes are checked by their checksum, and all its numbers must be finite. `loaded` is its path.

        warn: a function that gets one line for each damaged checkpoint that is passed over.
        before: path of a checkpoint; only older ones are looked at.
        """
        for path in reversed(self.paths()):
            if before is not None and _number(path) >= _number(before):
                continue
            try:
                arrays, info = read_npz(path)
                wrong = not_finite(arrays)
                if wrong:
                    raise DamagedFileError(f"{wrong} is not finite")
            except DamagedFileError as error:
                warn(f"{path} is damaged ({error}); falling back to the checkpoint before it")
                continue
            self.loaded = path
            return arrays, info
        return None


def not_finite(arrays: dict[str, np.ndarray]) -> str:
    """Returns the name of the first array that is not finite; "" when all are."""
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.inexact) and not np.all(np.isfinite(array)):
            return name
    return ""


def _number(path: pathlib.Path) -> int:
    return int(path.stem.split("-")[1])
