"""Messages to people: one line, short, with the place in the user's code."""

import pathlib
import traceback

import numpy as np
import pytest

from impala_tf import config
from impala_tf.config import to_flag_lines
from impala_tf.support import messages


def test_one_line():
    assert messages.one_line(np.zeros([2, 2])) == "[[0. 0.] [0. 0.]]"
    assert messages.one_line(ValueError("a\n  b")) == "a b"


@pytest.mark.parametrize(
    ("value", "text"), [(0.123456, "0.1235"), (-99.6, "-99.6"), (1234.5, "1,234"), (1e6, "1,000,000")]
)
def test_number(value, text):
    assert messages.number(value) == text


def error_of(function):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function()
    return caught.value


def test_an_error_names_the_last_line_of_the_users_code_and_not_of_ours():
    error = error_of(lambda: to_flag_lines(None))
    assert traceback.extract_tb(error.__traceback__)[-1].filename == config.__file__
    assert f"({__file__}, line " in messages.with_place(error)


def test_an_error_names_the_users_line_before_the_standard_librarys():
    assert f"({__file__}, line " in messages.with_place(error_of(lambda: pathlib.Path("/no/such/file").read_text()))


def test_a_long_error_is_cut_and_arguments_and_colours_of_keras_are_left_out():
    def fail():
        raise ValueError("\x1b[1mwrong\x1b[0m shape\n\nArguments received by Dense.call():\n inputs=1")

    assert messages.with_place(error_of(fail)).startswith("ValueError: wrong shape (")

    def fail_long():
        raise ValueError("x" * 1000)

    assert messages.with_place(error_of(fail_long)).startswith("ValueError: " + "x" * messages.LONGEST + "... (")
