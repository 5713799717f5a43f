"""What a log directory says when a run goes on with other settings."""

import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.logdir import LogDir


@pytest.fixture
def resume(tmp_path):
    """A function that opens the log directory of a run that was stopped after 400,000 of 1,000,000 frames."""
    first = LogDir(Config(logdir=str(tmp_path)), warn=pytest.fail)
    first.write_settings(Config())
    Checkpoints(first.checkpoints, keep=1).save(7, {"environment_frames": np.int64(400_000)}, {})

    def resume(**settings):
        lines = []
        LogDir(Config(logdir=str(tmp_path), **settings), lines.append)
        return [line.removeprefix(f"{tmp_path} goes on with other settings than it had: ") for line in lines]

    return resume


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"total_environment_frames": 2_000_000},
            "--total_environment_frames=1000000 (given: 2000000); "
            "the learning rate at 400,000 frames is 0.0024 instead of 0.0018",
        ),
        (
            {"total_environment_frames": 400_000},
            "--total_environment_frames=1000000 (given: 400000); "
            "the learning rate at 400,000 frames is 0 instead of 0.0018",
        ),
        (
            {"learning_rate": 0.01},
            "--learning_rate=0.003 (given: 0.01); the learning rate at 400,000 frames is 0.006 instead of 0.0018",
        ),
        (
            {"total_environment_frames": 800_000, "learning_rate": 0.0036},
            "--total_environment_frames=1000000 (given: 800000), --learning_rate=0.003 (given: 0.0036)",
        ),
        ({"entropy_cost": 0.5}, "--entropy_cost=0.001 (given: 0.5)"),
    ],
    ids=str,
)
def test_another_setting_is_said_with_what_it_does_to_the_learning_rate(resume, settings, line):
    assert resume(**settings) == [line]


def test_the_same_settings_are_not_said(resume):
    assert resume() == []


def test_another_network_is_refused(resume):
    with pytest.raises(SettingError, match=r"its checkpoint was written with other settings: --core=none \(given: gru"):
        resume(core="gru")


def test_a_settings_file_that_somebody_has_written_into_is_said_as_it_is(resume, tmp_path):
    (tmp_path / "settings.flags").write_text("--total_environment_frames=many\n")
    assert resume() == ["--total_environment_frames=many (given: 1000000)"]
