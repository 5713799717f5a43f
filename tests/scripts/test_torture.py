"""The campaign that hurts runs: a small one finds nothing, and one on broken files finds each of them."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest

from impala_tf.records.files import write_npz
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def torture():
    spec = importlib.util.spec_from_file_location("torture", ROOT / "scripts" / "torture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_small_campaign_finds_nothing(tmp_path):
    results = tmp_path / "torture.json"
    options = ["--kills=3", "--flips=200", "--corruptions=50", "--seed=3", f"--results={results}"]
    done = subprocess.run(
        [sys.executable, "scripts/torture.py", *options], cwd=ROOT, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(results.read_text())
    assert len(found["kills"]) == 3
    counts = found["checkpoints"]["counts"]
    assert counts["flip"]["refused"] == 200
    assert sum(number for kind in counts.values() for number in kind.values()) == 250


def make_run(directory, episodes=2):
    (directory / "checkpoints").mkdir()
    info = dict(metrics=dict(episodes=episodes))
    arrays = dict(updates=np.int64(10), environment_frames=np.int64(200))
    write_npz(directory / "checkpoints" / "checkpoint-0000000010.npz", arrays, info)
    (directory / "metrics.csv").write_text(
        "environment_frames,updates,seconds,episodes\n100,5,1.0,1\n200,10,2.0,2\n300,15,3.0,3\n"
    )
    (directory / "episodes.csv").write_text("environment_frames,episode_return\n50,1\n200,2\n260,2\n")


def test_what_a_sound_run_holds(tmp_path, torture):
    make_run(tmp_path)
    held = torture.examine(tmp_path, torture.NOTHING)
    assert (held.updates, held.frames) == (10, 200)
    assert held.rows == {"metrics.csv": ["100,5,1.0,1\n", "200,10,2.0,2\n"], "episodes.csv": ["50,1\n", "200,2\n"]}
    torture.examine_whole(tmp_path)
    assert torture.examine(tmp_path, held) == held


def break_checkpoint(run):
    path = run / "checkpoints" / "checkpoint-0000000010.npz"
    path.write_bytes(path.read_bytes()[:-1])


def break_row(run):
    path = run / "metrics.csv"
    path.write_text(path.read_text().replace("100,5", "101,5"))


def lose_episode(run):
    path = run / "episodes.csv"
    path.write_text(path.read_text().replace("200,2\n", ""))


def lose_export(run):
    (run / "saved_model").mkdir()


@pytest.mark.parametrize(
    ("hurt", "violation"),
    [
        (break_checkpoint, "cannot be read"),
        (break_row, "metrics.csv: rows before the last checkpoint have changed"),
        (lose_episode, "episodes.csv"),
        (lose_export, "the export is not whole"),
        (lambda run: (run / "checkpoints" / "checkpoint-0000000010.npz").unlink(), "the checkpoints are gone"),
    ],
)
def test_what_is_lost_is_found(hurt, violation, tmp_path, torture):
    make_run(tmp_path)
    held = torture.examine(tmp_path, torture.NOTHING)
    hurt(tmp_path)
    with pytest.raises(torture.Violation, match=violation):
        torture.examine(tmp_path, held)


def test_an_episode_that_the_checkpoint_counts_and_nobody_wrote_is_found(tmp_path, torture):
    make_run(tmp_path, episodes=3)
    with pytest.raises(torture.Violation, match="has 2 of 3 episodes"):
        torture.examine(tmp_path, torture.NOTHING)


def test_an_update_that_is_there_twice_is_found(tmp_path, torture):
    make_run(tmp_path)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("300,15,3.5,3\n")
    with pytest.raises(torture.Violation, match="does not always rise"):
        torture.examine_whole(tmp_path)
