"""Checkpoints: one file each, written whole or not at all, read with checksums.

A checkpoint is a zip of numpy arrays (`numpy.load` opens it) and a JSON text with the Python side of the run. It is
written under another name, synced and renamed, so a crash leaves either the old set of files or the new one; the
zip's checksums tell a damaged file from a whole one.
"""

import json
import os
import pathlib
import re
import time
import zipfile
from collections.abc import Callable

import numpy as np


class Checkpoints:
    """The checkpoints of one log directory, the newest `keep` of them.

    every_secs, every_updates: when `due` says yes; 0 turns either off.
    """

    def __init__(self, directory: pathlib.Path, keep: int, every_secs: float = 0.0, every_updates: int = 0):
        self._directory = directory
        self._keep = keep
        self._every_secs = every_secs
        self._every_updates = every_updates
        self._last_secs = time.monotonic()
        self._last_updates = 0

    def paths(self) -> list[pathlib.Path]:
        """Oldest first."""
        found = [p for p in self._directory.glob("checkpoint-*.npz") if re.fullmatch(r"checkpoint-\d+", p.stem)]
        return sorted(found, key=_number)

    def due(self, updates: int) -> bool:
        by_time = self._every_secs > 0 and time.monotonic() - self._last_secs >= self._every_secs
        return by_time or 0 < self._every_updates <= updates - self._last_updates

    def save(self, updates: int, arrays: dict[str, np.ndarray], info: dict) -> pathlib.Path:
        """Writes checkpoint-UPDATES.npz and removes what is older than the newest `keep`.

        Raises FloatingPointError when an array is not finite, before anything is written.
        """
        for name, array in arrays.items():
            if not np.all(np.isfinite(array)):
                raise FloatingPointError(f"update {updates}: {name} is not finite; the checkpoints before are kept")
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"checkpoint-{updates:010d}.npz"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            np.savez(file, **arrays, info=np.asarray(json.dumps(info)))  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        # A higher number can only be a damaged one that this run has passed over: it must not count as the newest.
        whole = [p for p in self.paths() if _number(p) <= updates]
        for old in whole[: -self._keep]:
            old.unlink()
        self.saved(updates)
        return path

    def saved(self, updates: int) -> None:
        """Counts from here until the next is due."""
        self._last_secs = time.monotonic()
        self._last_updates = updates

    def load_newest(self, warn: Callable[[str], None]) -> tuple[dict[str, np.ndarray], dict] | None:
        """(arrays, info) of the newest checkpoint that is whole; None if there is none.

        warn: gets one line for each that is damaged and passed over.
        """
        for path in reversed(self.paths()):
            try:
                with np.load(path) as file:
                    arrays = {name: file[name] for name in file.files}
                info = json.loads(str(arrays.pop("info")))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                warn(f"{path} is damaged ({error}); falling back to the checkpoint before it")
                continue
            return arrays, info
        return None


def _number(path: pathlib.Path) -> int:
    return int(path.stem.split("-")[1])
