"""Writes files whole or not at all, and reads .npz files without trusting them."""

import contextlib
import ctypes
import hashlib
import io
import json
import os
import pathlib
import shutil
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

_INFO = "info"  # The name of the JSON text among the arrays.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # Constants of Linux: fcntl.h, linux/fs.h.
_DIGEST_BYTES = 64  # SHA-256 in hexadecimal. It is the zip's comment, which ends the file.


class DamagedFileError(Exception):
    """A file cannot be read. The message is one line that says why."""


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens a file that takes the place of `path` when the block ends, and leaves nothing when it fails.

    The bytes are on the disk before the name is: after a crash `path` holds either the old content or the new one. The
    name is on the disk when the block has ended.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with temporary.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _sync_directory(path: pathlib.Path) -> None:
    """Waits until the names in the directory are on the disk, where the system can do that (Windows cannot)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def replace_directory(new: pathlib.Path, path: pathlib.Path) -> None:
    """Puts the directory `new` in the place of `path`, whose content is removed, after all its bytes are on the disk.

    On Linux the two change places at once, so that `path` is whole at every moment. Elsewhere, and on file systems that
    cannot do that, the old one is at PATH.old for a moment; `restore_directory` brings it back after a crash.
    """
    for file in new.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        else:
            _sync_directory(file)
    _sync_directory(new)
    if not path.exists():
        new.rename(path)
    elif _exchange(new, path):
        shutil.rmtree(new, ignore_errors=True)
    else:
        old = _old(path)
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        new.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    _sync_directory(path.parent)


def restore_directory(path: pathlib.Path) -> None:
    """Brings back what a crash within `replace_directory` has left at PATH.old; removes it where PATH is there."""
    if not path.exists() and _old(path).exists():
        with contextlib.suppress(OSError):  # It may only be read.
            _old(path).rename(path)
    if path.exists():
        shutil.rmtree(_old(path), ignore_errors=True)


def _old(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(f"{path.name}.old")


def _exchange(one: pathlib.Path, other: pathlib.Path) -> bool:
    """Lets two paths change their content at once; returns whether the system can do that. renameat2(2)."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):  # Only Linux has it; Windows has no such library.
        return False
    return function(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def write_text(path: pathlib.Path, text: str) -> None:
    """Replaces the file's text. A path that is no regular file, such as /dev/stdout, is written to directly."""
    if path.exists() and not path.is_file():
        path.write_text(text)
        return
    with replacing(path) as file:
        file.write(text.encode())


def write_npz(path: pathlib.Path, arrays: dict[str, np.ndarray], info: dict[str, Any]) -> None:
    """Writes arrays, and a JSON object beside them, as a zip that `numpy.load` opens too, with a checksum of the whole.

    arrays: arrays by name; no name may be "info".
    """
    assert _INFO not in arrays
    with replacing(path) as file:
        np.savez(file, **arrays, **{_INFO: np.asarray(json.dumps(info))})  # type: ignore[arg-type]
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = bytes(_DIGEST_BYTES)
        file.seek(0)
        digest = _digest(file.read()[:-_DIGEST_BYTES])
        file.seek(-_DIGEST_BYTES, os.SEEK_END)
        file.write(digest)


def read_npz(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns (arrays, info) as `write_npz` wrote them. Checksums tell a damaged file; pickles are never loaded.

    The checksums in a zip are not enough: those of an array whose shape was damaged are never reached, and the zip's
    own tables have none. Files of earlier versions have these only.

    Raises DamagedFileError when the file is missing, damaged or of another kind.
    """
    try:
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            has_digest = bool(archive.comment)
        if has_digest and data[-_DIGEST_BYTES:] != _digest(data[:-_DIGEST_BYTES]):
            raise ValueError("its checksum is wrong")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        info = json.loads(str(arrays.pop(_INFO)))
    except Exception as error:  # A wrong byte can fail in the zip, in its compression, in numpy or in JSON.
        raise DamagedFileError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    return arrays, info


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
