"""Which flags a command line with flag files stands for, in which order, and where each comes from."""

import re

import pytest

from impala_tf.config import SettingError
from impala_tf.support.flag_files import expand


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """The working directory; `write` makes files in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flags" / "more").mkdir(parents=True)
    return tmp_path


def texts(*arguments):
    return [argument.text for argument in expand(arguments, lambda name: name != "greedy")]


def test_the_command_line_stands_after_flag_files_wherever_they_are_given(directory):
    (directory / "a.flags").write_text("# A comment.\n// Another.\n\n--seed=1\n  --core=gru  \n")
    assert texts("--seed=2", "--flagfile=a.flags", "--core=none") == [
        *("--seed=1", "--core=gru"),
        *("--seed=2", "--core=none"),
    ]


def test_of_two_flag_files_the_later_stands_last(directory):
    (directory / "a.flags").write_text("--seed=1\n")
    (directory / "b.flags").write_text("--seed=2\n")
    assert texts("--flagfile=b.flags", "--flagfile", "a.flags") == ["--seed=2", "--seed=1"]


def test_lines_of_a_file_that_a_file_names_stand_where_it_is_named(directory):
    (directory / "a.flags").write_text("--seed=1\n--flagfile=b.flags\n--seed=3\n")
    (directory / "b.flags").write_text("--seed=2\n")
    assert texts("--flagfile=a.flags") == ["--seed=1", "--seed=2", "--seed=3"]


def test_a_file_is_named_relative_to_the_file_that_names_it(directory):
    (directory / "flags" / "a.flags").write_text("--flagfile=more/b.flags\n")
    (directory / "flags" / "more" / "b.flags").write_text("--flagfile=../c.flags\n")
    (directory / "flags" / "c.flags").write_text("--seed=1\n")
    (directory / "c.flags").write_text("--seed=2\n")
    assert texts("--flagfile=flags/a.flags") == ["--seed=1"]


def test_a_file_that_is_not_beside_the_one_that_names_it_is_looked_for_in_the_working_directory(directory):
    (directory / "flags" / "a.flags").write_text("--flagfile=flags/b.flags\n")
    (directory / "flags" / "b.flags").write_text("--seed=1\n")
    assert texts("--flagfile=flags/a.flags") == ["--seed=1"]


def test_absolute_and_home_paths(directory, monkeypatch):
    monkeypatch.setenv("HOME", str(directory))
    (directory / "flags" / "a.flags").write_text(f"--flagfile={directory}/b.flags\n--flagfile=~/c.flags\n")
    (directory / "b.flags").write_text("--seed=1\n")
    (directory / "c.flags").write_text("--seed=2\n")
    assert texts("--flagfile=~/flags/a.flags") == ["--seed=1", "--seed=2"]


def test_each_line_knows_its_file_and_number(directory):
    (directory / "flags" / "a.flags").write_text("# First.\n--seed=1\n--flagfile=more/b.flags\n")
    (directory / "flags" / "more" / "b.flags").write_text("\n\n--core=gru\n")
    places = {argument.text: argument.place for argument in expand(["--flagfile=flags/a.flags", "--greedy"], bool)}
    assert places == {
        "--seed=1": "flags/a.flags line 2",
        "--core=gru": "flags/more/b.flags line 3",
        "--greedy": "",
    }


def test_the_value_of_a_flag_is_not_taken_for_a_flag_file(directory):
    assert texts("--logdir", "--flagfile=none.flags", "--seed=1") == ["--logdir", "--flagfile=none.flags", "--seed=1"]
    (directory / "a.flags").write_text("--seed=1\n")
    assert texts("--greedy", "--flagfile=a.flags") == ["--seed=1", "--greedy"]


def test_behind_what_is_not_a_flag_nothing_is_read(directory):
    assert texts("--seed=1", "train", "--flagfile=none.flags") == ["--seed=1", "train", "--flagfile=none.flags"]
    assert texts("--seed=1", "--", "--flagfile=none.flags") == ["--seed=1", "--", "--flagfile=none.flags"]


def test_a_file_may_be_read_twice_but_not_by_itself(directory):
    (directory / "a.flags").write_text("--flagfile=b.flags\n--flagfile=b.flags\n")
    (directory / "b.flags").write_text("--seed=1\n")
    assert texts("--flagfile=a.flags") == ["--seed=1", "--seed=1"]
    (directory / "b.flags").write_text("--flagfile=flags/../a.flags\n")
    with pytest.raises(SettingError, match=r"^b\.flags line 1: --flagfile=flags/\.\./a\.flags: this file names itself"):
        texts("--flagfile=a.flags")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "--flagfile=a.flags: cannot be read (No such file or directory)"),
        ("--seed=1\n--flagfile=b.flags\n", "a.flags line 2: --flagfile=b.flags: cannot be read (No such file or"),
        ("--flagfile=flags\n", "a.flags line 1: --flagfile=flags: cannot be read (Is a directory)"),
        ("seed=1\n", "a.flags line 1: seed=1: not a flag; flags are given as --name=value"),
        ("--seed=1\n--\n", "a.flags line 2: --: not a flag"),
        ("\xff\xfe--seed=1\n".encode("latin-1"), "--flagfile=a.flags: cannot be read ("),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(directory, content, message):
    if content is not None:
        (directory / "a.flags").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingError, match=f"^{re.escape(message)}") as error:
        texts("--flagfile=a.flags")
    assert "\n" not in str(error.value)


def test_a_flag_file_without_a_path():
    with pytest.raises(SettingError, match=r"^--flagfile: give the path of a flag file$"):
        texts("--seed=1", "--flagfile")
    assert texts("--flagfile=") == []
