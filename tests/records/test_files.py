"""Files that are written whole or not at all, and what is read of damaged ones."""

import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from impala_tf.records import files
from impala_tf.records.files import (
    DamagedFileError,
    read_npz,
    replace_directory,
    replacing,
    restore_directory,
    write_npz,
    write_text,
)


class Crash(BaseException):
    """What ends a process in the middle, such as a second Ctrl-C."""


def test_a_file_that_fails_in_the_middle_leaves_the_old_one(tmp_path):
    path = tmp_path / "new" / "file"
    write_text(path, "old")

    def crash():
        with replacing(path) as file:
            file.write(b"half")
            assert path.read_text() == "old"
            raise Crash

    with pytest.raises(Crash):
        crash()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_at_the_end(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr("os.fsync", lambda _: events.append("fsync"))
    rename = pathlib.Path.replace
    monkeypatch.setattr(pathlib.Path, "replace", lambda *paths: (events.append("rename"), rename(*paths)))
    write_text(tmp_path / "file", "text")
    assert events == ["fsync", "rename", "fsync"], "first the file, last its directory"


def test_a_device_is_written_to_as_it_is():
    write_text(pathlib.Path("/dev/null"), "text")
    assert pathlib.Path("/dev/null").is_char_device()
    assert not pathlib.Path("/dev/null.tmp").exists()


def write(path):
    arrays = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.int64(3)}
    write_npz(path, arrays, {"score": 1.5})
    return arrays


def test_arrays_and_their_description_are_read_as_they_were_written(tmp_path):
    arrays = write(tmp_path / "x.npz")
    read, info = read_npz(tmp_path / "x.npz")
    assert info == {"score": 1.5}
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def test_a_wrong_bit_anywhere_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "x.npz"
    arrays = write(path)
    data = path.read_bytes()
    messages = []
    for position in range(0, len(data), 3):
        wrong = data[position] ^ 1 << position % 8
        path.write_bytes(data[:position] + bytes([wrong]) + data[position + 1 :])
        try:
            read, _ = read_npz(path)
        except DamagedFileError as error:
            messages.append(str(error))
        else:  # The bit was in the length of the comment, so that the checksum was not found.
            assert read.keys() == arrays.keys()
            for name, array in arrays.items():
                np.testing.assert_array_equal(read[name], array)
    assert len(messages) > len(data) / 3 - 20
    assert not any("\n" in message for message in messages)


def test_a_file_of_an_earlier_version_has_no_checksum_of_the_whole(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3), info=np.asarray("{}"))
    arrays, info = read_npz(tmp_path / "x.npz")
    assert info == {}
    np.testing.assert_array_equal(arrays["a"], [0, 1, 2])


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_file_that_was_cut_off_is_damaged(tmp_path, length):
    path = tmp_path / "x.npz"
    write(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedFileError):
        read_npz(path)


def test_a_missing_file_and_one_without_a_description_are_damaged(tmp_path):
    with pytest.raises(DamagedFileError, match="FileNotFoundError"):
        read_npz(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(DamagedFileError, match="info"):
        read_npz(tmp_path / "x.npz")


def test_pickles_are_not_loaded(tmp_path):
    class Evil:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / "EVIL",)

    np.savez(tmp_path / "x.npz", a=np.array([Evil()], dtype=object), info=np.asarray("{}"))
    with pytest.raises(DamagedFileError):
        read_npz(tmp_path / "x.npz")
    assert not (tmp_path / "EVIL").exists()


def make_directory(path, text):
    (path / "variables").mkdir(parents=True)
    for name in ("model", "variables/weights"):
        (path / name).write_text(text)
    return path


def text_of(path):
    (text,) = {(path / name).read_text() for name in ("model", "variables/weights")}
    return text


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_directory_takes_the_place_of_another(tmp_path, monkeypatch, can_exchange):
    if not can_exchange:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for text in ("first", "second", "third"):
        replace_directory(make_directory(tmp_path / "new", text), tmp_path / "model")
        assert text_of(tmp_path / "model") == text
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_crash_between_the_renames_leaves_one_that_is_brought_back(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    make_directory(tmp_path / "model", "old")
    rename = pathlib.Path.rename

    def crash_at_the_second(path, target):
        if path.name == "new":
            raise Crash
        return rename(path, target)

    monkeypatch.setattr(pathlib.Path, "rename", crash_at_the_second)
    with pytest.raises(Crash):
        replace_directory(make_directory(tmp_path / "new", "new"), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    restore_directory(tmp_path / "model")
    assert text_of(tmp_path / "model") == "old"
    restore_directory(tmp_path / "model")
    assert text_of(tmp_path / "model") == "old"


SWAP = """
import pathlib, sys, itertools
from impala_tf.records.files import replace_directory
path = pathlib.Path(sys.argv[1])
for text in itertools.count():
    new = path.with_name("new")
    (new / "variables").mkdir(parents=True)
    for name in ("model", "variables/weights"):
        (new / name).write_text(str(text))
    replace_directory(new, path)
    print(text, flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux exchanges two names at once")
def test_there_is_a_whole_directory_at_every_moment_also_when_the_writer_is_killed(tmp_path):
    path = tmp_path / "model"
    process = subprocess.Popen([sys.executable, "-c", SWAP, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "0\n"
    deadline = time.monotonic() + 0.7
    looks = 0
    while time.monotonic() < deadline:
        assert path.is_dir()
        looks += 1
    process.kill()
    process.wait()
    assert looks > 1000
    assert int(text_of(path)) > 10
