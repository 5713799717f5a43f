"""A small form of scripts/fuzz_flags.py: drawn combinations of flags, a few of which train."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.fixture
def fuzz_flags(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import fuzz_flags

    return fuzz_flags


def test_each_run_trains_or_is_refused_with_one_line(tmp_path):
    command = [sys.executable, "scripts/fuzz_flags.py", "--seed=5", "--combinations=5", "--limit_secs=100"]
    command += [f"--rows={tmp_path / 'rows.csv'}", f"--results={tmp_path / 'fuzz.json'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "fuzz.json").read_text())
    assert summary["combinations"] == 5
    assert summary["wrong"] == []


def test_a_later_call_goes_on_and_what_is_wrong_is_left_with_fewest_flags(fuzz_flags, tmp_path, monkeypatch):
    """Each run with --core hangs."""
    runs = []

    def run(flags, limit_secs):
        runs.append(flags)
        what = "hang" if any(flag.startswith("--core=") for flag in flags) else "trained"
        return fuzz_flags.Outcome(what, 0, 1.0, "", "")

    drawn = [("--seed=1",), ("--seed=2", "--core=lstm", "--xla=on"), ("--seed=3",)]
    monkeypatch.setattr(fuzz_flags, "run", run)
    monkeypatch.setattr("flag_combinations.draw_combinations", lambda seed, number: drawn)
    files = tmp_path / "rows.csv", tmp_path / "fuzz.json"
    assert fuzz_flags.fuzz(2, 1, 9.0, *files) == 1
    first = len(runs)
    assert fuzz_flags.fuzz(3, 1, 9.0, *files) == 1
    assert runs[first:] == [("--seed=3",)]
    summary = json.loads(files[1].read_text())
    assert summary["outcomes"] == dict(trained=2, hang=1)
    (wrong,) = summary["wrong"]
    assert wrong["flags"] == "--core=lstm"


def test_what_is_wrong_is_seen(fuzz_flags):
    ends = {
        (0, "frames: 120\nlog directory: x\n"): "trained",
        (2, "impala_tf: CartPole-v1\nimpala_tf: --seed=-1: must be at least 0\n"): "refused",
        (2, "impala_tf: update 3 is not finite: reward went first\n"): "not finite",
        (2, "ValueError: x\n"): "exit code 2",
        (1, "impala_tf: x\n"): "exit code 1",
        (0, "Traceback (most recent call last):\n"): "traceback",
        (-11, "Fatal Python error: Segmentation fault\n"): "signal 11",
        (None, "Current thread\n"): "hang",
    }
    for (code, output), what in ends.items():
        assert fuzz_flags.judge(code, 1.0, output).what == what


def test_messages_lead_to_settings_that_are_taken(fuzz_flags):
    import flag_combinations as drawn

    wrong = drawn.SMALL | dict(architecture="a3c", rnd="true", weight_decay="0.1")
    assert drawn.refusal(wrong)
    right = drawn.as_advised(wrong)
    assert drawn.refusal(right) == ""
    assert right == drawn.SMALL | dict(architecture="a3c", batch_size="2", weight_decay="0.1", optimizer="adamw")
    assert drawn.draw_combinations(3, 20) == drawn.draw_combinations(3, 20)
    assert len(set(drawn.draw_combinations(3, 20))) == 20
