"""CSV files: what a resume keeps of damaged ones, and what happens when they cannot be written."""

import csv
import os
import resource
import signal
import tracemalloc

import pytest

from impala_tf.records import tables
from impala_tf.records.tables import Table, append_rows, drop_rows_after

HEADER = ("environment_frames", "task", "x")


def write(path, *frames):
    append_rows(path, HEADER, [[n, 'a "b", c', 0.5] for n in frames])
    return path


def frames_of(path):
    with path.open(newline="") as file:
        return [int(row["environment_frames"]) for row in csv.DictReader(file)]


def test_later_rows_go(tmp_path):
    path = write(tmp_path / "t.csv", 1, 2, 2, 3)
    assert drop_rows_after(path, 2) == (3, "")
    assert frames_of(path) == [1, 2, 2]
    assert drop_rows_after(path, 2) == (3, "")
    assert drop_rows_after(path, 0) == (0, "")
    assert drop_rows_after(tmp_path / "none.csv", 0) == (0, "")
    append_rows(path, HEADER, [[7, "a", 1]])
    assert frames_of(path) == [7], "the header stays"


@pytest.mark.parametrize(
    ("strange", "numbers"),
    [
        (b"3,a", "4"),
        (b"\n", "4"),
        (b"one line of a log\r\n", "4"),
        (b"4,a,1,2\r\n", "4"),
        (b"-4,a,1\r\n", "4"),
        (b"x,a,1\n\n\n\n\n", "4, 5, 6, ..."),
        (b"\0" * 5000, "4"),
        (b"\xff\xfe,a,1\r\n", "4"),
    ],
    ids=["torn", "blank", "foreign", "more cells", "negative", "several", "zeros", "no text"],
)
@pytest.mark.parametrize("follows", [b"", b'3,"a ""b"", c",0.5\r\n'])
def test_lines_that_are_no_rows_go_with_one_line(tmp_path, strange, numbers, follows):
    path = write(tmp_path / "t.csv", 1, 2)
    with path.open("ab") as file:
        file.write(strange + (b"\n" if follows and not strange.endswith(b"\n") else b"") + follows)
    num_rows, damage = drop_rows_after(path, 5)
    assert frames_of(path) == [1, 2, 3][:num_rows]
    assert num_rows == 2 + bool(follows)
    assert damage.startswith(f"{path}: ")
    assert f"(number {numbers}) had no whole row" in damage
    assert "\n" not in damage
    assert list(tmp_path.iterdir()) == [path]
    assert drop_rows_after(path, 5) == (num_rows, "")


@pytest.mark.parametrize("content", [b"environment_fra", b"\0\0\0\n1,2\n", b"a,b\n1,2\n"])
def test_a_file_with_another_beginning_is_set_aside(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    num_rows, damage = drop_rows_after(path, 5)
    assert num_rows == 0
    (aside,) = tmp_path.iterdir()
    assert aside.read_bytes() == content
    assert damage == f"{path} does not begin with the names of its columns; it is {aside.name} now"


def test_a_large_file_is_read_as_a_stream(tmp_path):
    path = write(tmp_path / "t.csv", *range(8000))
    with path.open("a") as file:
        file.write("foreign\n")
    write(path, 7)
    tracemalloc.start()
    assert drop_rows_after(path, 7000).num_rows == 7002
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2 < 10**6


def in_a_child_with_files_of_at_most(size, work):
    """Runs work in a fork in which no file can grow beyond `size` bytes, as on a full disk. Returns its exit code."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            code = work() or 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_rows_that_cannot_be_written_leave_the_file_as_it_was_and_come_later(tmp_path):
    path, said = tmp_path / "t.csv", tmp_path / "said"
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT)

    def work():
        table = Table(path, lambda line: os.write(descriptor, f"{line}\n".encode()))
        table.append(HEADER, [[1, "a", 1]])
        before = path.read_bytes()
        for frames in range(2, 102):
            table.append(HEADER, [[frames, "a" * 100, 1]])
        assert path.read_bytes().startswith(before)
        assert path.read_bytes().endswith(b"\r\n")
        assert len(frames_of(path)) < 100
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        table.append(HEADER, [[102, "a", 1]])
        table.close()

    assert in_a_child_with_files_of_at_most(2000, work) == 0
    assert frames_of(path) == list(range(1, 103))
    first, second = said.read_text().splitlines()
    assert first.startswith(f"{path} cannot be written (File too large); the run goes on")
    assert second == f"{path} is written again; no rows are missing"


def test_what_is_held_is_bounded_and_what_is_lost_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "MOST_HELD", 3)
    lines = []
    table = Table(tmp_path / "gone" / "t.csv", lines.append)
    for frames in range(5):
        table.append(HEADER, [[frames, "a", 1]])
    table.close()
    assert lines[1:] == [f"{tmp_path}/gone/t.csv: 5 rows were never written"]
    (tmp_path / "gone").mkdir()
    table.append(HEADER, [[5, "a", 1]])
    assert frames_of(tmp_path / "gone" / "t.csv") == [2, 3, 4, 5]
    assert lines[-1] == f"{tmp_path}/gone/t.csv is written again; 2 rows are missing"
