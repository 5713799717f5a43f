"""What a log directory says when a run goes on with other settings."""

import subprocess
import sys

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


HOLD = """
import os, sys
from impala_tf.config import Config
from impala_tf.records.logdir import LogDir
with LogDir(Config(logdir=sys.argv[1]), print).held():
    if os.fork() == 0:  # As an environment's process that outlives the run does.
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_until_the_first_one_is_gone_however_it_went(tmp_path):
    first = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=-1, stdout=-1, text=True)
    assert first.stdout.readline() == "held\n"
    second = LogDir(Config(logdir=str(tmp_path)), pytest.fail)
    with pytest.raises(SettingError, match=rf"--logdir={tmp_path}: is in use by process {first.pid} on"), second.held():
        pytest.fail("two runs in one directory")
    first.kill()
    first.wait()
    with second.held():
        pass


def test_the_directory_of_a_run_that_never_began_is_removed_with_its_lock(tmp_path):
    logdir = LogDir(Config(logdir=str(tmp_path / "new")), pytest.fail)
    with logdir.held():
        pass
    logdir.remove_if_empty()
    assert not logdir.path.exists()


def test_damaged_lines_of_the_settings_do_not_stop_a_resume(resume, tmp_path):
    """Not even a value that no network can have: whether the checkpoint fits is seen in it."""
    settings = tmp_path / "settings.flags"
    lines = settings.read_text().replace("--core=none", "--core=no").splitlines()
    settings.write_bytes(
        "\n".join(["", *lines, "--see", "words"]).encode() + b"\n--seed=7\n\xff\xff=1\n--seee=8\n--discounting=x"
    )
    damaged = [1, lines.index("--core=no") + 2, len(lines) + 2, len(lines) + 3, len(lines) + 5, len(lines) + 6]
    assert resume() == [
        f"{settings}: line {', '.join(map(str, damaged))} is no setting; it is not compared with those of this run",
        "--seed=7 (given: 1), --discounting=x (given: 0.99)",
    ]


def test_a_run_falls_back_to_the_checkpoint_before_one_that_does_not_fit(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=4)
    for updates in (0, 1, 2, 3):
        checkpoints.save(updates, {"environment_frames": np.int64(updates)}, {})
    damaged = checkpoints.paths()[2]
    damaged.write_bytes(b"")
    lines = []
    logdir = LogDir(Config(logdir=str(tmp_path)), lines.append)
    assert logdir.checkpoint[0]["environment_frames"] == 3
    assert logdir.fall_back("is of another network")
    assert logdir.checkpoint[0]["environment_frames"] == 1
    assert lines[0].endswith(
        "checkpoint-0000000003.npz is of another network; falling back to the checkpoint before it"
    )
    assert lines[1].startswith(f"{damaged} is damaged")
    assert len(lines) == 2
    assert logdir.fall_back("is of another network")
    assert logdir.checkpoint[0]["environment_frames"] == 0
    assert not logdir.fall_back("is of another network")
    assert logdir.checkpoint[0]["environment_frames"] == 0
    logdir.checkpoint = {"environment_frames": 9}, {}  # A population has given it another one.
    assert not logdir.fall_back("is of another network")


def test_what_a_crash_left_is_removed_when_the_run_goes_on(tmp_path):
    logdir = LogDir(Config(logdir=str(tmp_path)), pytest.fail)
    (tmp_path / "checkpoints").mkdir()
    for name in ("settings.flags.tmp", "metrics.csv.tmp", "checkpoints/checkpoint-0000000001.npz.tmp"):
        (tmp_path / name).write_text("half")
    for name in ("saved_model.tmp", "saved_model.old", "best_model.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text("one")
    logdir.write_settings(Config())
    assert {path.name for path in tmp_path.iterdir()} == {"settings.flags", "checkpoints", "saved_model"}
    assert not list((tmp_path / "checkpoints").iterdir())
    assert (tmp_path / "saved_model" / "saved_model.pb").read_text() == "one", "there was no other"
