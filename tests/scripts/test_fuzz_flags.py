"""A small form of scripts/fuzz_flags.py: drawn combinations of flags, a few of which train."""

import json
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Summary and rows of combinations, of which the second call runs those that the first has not."""
    directory = tmp_path_factory.mktemp("fuzz")
    command = [sys.executable, "scripts/fuzz_flags.py", "--seed=5", "--limit_secs=100"]
    command += [f"--rows={directory / 'rows.csv'}", f"--results={directory / 'fuzz.json'}"]
    outputs = []
    for number in (1, 8):
        done = subprocess.run(
            [*command, f"--combinations={number}"], cwd=ROOT, capture_output=True, text=True, timeout=400
        )
        outputs.append(done.stdout + done.stderr)
        assert done.returncode == 0, outputs[-1]
    return json.loads((directory / "fuzz.json").read_text()), (directory / "rows.csv").read_text().splitlines()


def test_each_run_trains_or_is_refused_with_one_line(found):
    summary, rows = found
    assert summary["combinations"] == 8
    assert len(rows) == 9, "each was run once"
    assert set(summary["outcomes"]) == {"trained", "refused"}
    assert summary["wrong"] == []


def test_what_is_wrong_is_seen(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import fuzz_flags

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


def test_messages_lead_to_settings_that_are_taken(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import flag_combinations as drawn

    wrong = drawn.SMALL | dict(architecture="a3c", rnd="true", weight_decay="0.1")
    assert drawn.refusal(wrong)
    right = drawn.as_advised(wrong)
    assert drawn.refusal(right) == ""
    assert right == drawn.SMALL | dict(architecture="a3c", batch_size="2", weight_decay="0.1", optimizer="adamw")
    assert drawn.draw_combinations(3, 20) == drawn.draw_combinations(3, 20)
    assert len(set(drawn.draw_combinations(3, 20))) == 20
