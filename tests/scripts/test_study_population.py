"""The tables and the picture of scripts/study_population.py, without its trainings."""

import importlib
import sys

import pytest

from impala_tf.populations.history import History, Row
from tests.support.paths import ROOT


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("study_population")


def test_the_last_pieces_are_compared(study, monkeypatch, tmp_path):
    """In each run, members' returns are 1, 2, 3, 4 after half of the frames, and times ten at the end."""
    runs, results = tmp_path / "runs", tmp_path / "results"

    def finished(scheduler, logdir, seed, frames, kill_after):
        assert (scheduler == "population") == (kill_after > 0)
        logdir.mkdir(parents=True)
        history = History(logdir / "population.csv", ["learning_rate", "entropy_cost", "epsilon"])
        values = dict(learning_rate=1e-3, entropy_cost=1e-2, epsilon=0.1)
        for part in (1, 2):
            for member in range(4):
                score = float("nan") if scheduler == "random" and member == 3 else 10.0 ** (part - 1) * (member + 1)
                copied = 3 if scheduler == "population" and member == 0 and part == 1 else None
                row = Row(member, frames // 2 * part, part, 9, score, score, 1.0, values, None, copied)
                history.add(row)

    monkeypatch.setattr(study, "train", finished)
    monkeypatch.setattr(study, "machine", dict)
    monkeypatch.setattr(sys, "argv", ["study_population.py", f"--results={results}", f"--runs={runs}", "--frames=100"])
    study.main()
    (row,) = study.read(results / "population.csv")
    assert row == dict(
        seed="1", population_best="40", population_median="25", fixed_best="30", fixed_median="15",
        frames_of_a_run="100", copies="1",
    )  # fmt: skip
    assert len(study.read(results / "population_curves.csv")) == 16
    assert (results / "population.png").stat().st_size > 20_000
