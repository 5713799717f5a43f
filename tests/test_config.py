import dataclasses
import itertools
import pathlib

import pytest

from impala_tf import config as config_lib
from impala_tf.config import Config, differences, to_flag_lines

FLAGS = pathlib.Path(__file__).parent.parent / "flags"


def settings_of(path):
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line[2:].split("=", 1) for line in lines if line.startswith("--"))


def test_cartpole_flags_is_the_default():
    defaults = dict(line[2:].split("=", 1) for line in to_flag_lines(Config()))
    assert settings_of(FLAGS / "cartpole.flags") == defaults


@pytest.mark.parametrize("path", sorted(FLAGS.glob("*.flags")), ids=lambda path: path.stem)
def test_each_line_of_a_flag_file_has_its_source_above_and_is_a_setting(path):
    names = {field.name for field in config_lib.fields()}
    lines = path.read_text().splitlines()
    for above, line in itertools.pairwise(lines):
        if line.startswith("--"):
            assert above.startswith("# "), f"{path.name}: {line} has no comment above it"
            name, value = line[2:].split("=", 1)
            assert name in names or (FLAGS.parent / value).is_file()
    assert lines[0].startswith("# ")


def test_every_setting_explains_itself():
    for field in config_lib.fields():
        assert len(field.metadata["help"]) > 10, field.name
        assert field.metadata["help"].endswith("."), field.name


def test_differences():
    lines = to_flag_lines(Config(hidden_sizes=(32,), learning_rate=0.5))
    assert differences(Config(hidden_sizes=(32,)), lines, network=True) == []
    assert differences(Config(), lines, network=False) == ["--learning_rate=0.5 (given: 0.003)"]
    assert differences(Config(core="lstm"), lines, network=True) == [
        "--hidden_sizes=32 (given: 64,64)",
        "--core=none (given: lstm)",
    ]


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().seed = 2
