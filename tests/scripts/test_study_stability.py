"""The table and the picture of scripts/study_stability.py, without its trainings."""

import importlib
import sys

import pytest

from tests.support.paths import ROOT


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("study_stability")


def test_each_architecture_gets_each_setting_once(study, monkeypatch, tmp_path):
    trained = []

    def fake_train(flags, seed, logdir):
        trained.append(flags)
        logdir.mkdir(parents=True)
        study.append(logdir / "episodes.csv", [dict(environment_frames=n, episode_return=n) for n in (800, 902, 998)])

    monkeypatch.setattr(study, "train", fake_train)
    for count in (1, 3, 0):
        places = (f"--results={tmp_path / 'results'}", f"--runs={tmp_path / 'runs'}", "--frames=1000")
        monkeypatch.setattr(sys, "argv", ["study_stability.py", f"--settings={count}", *places])
        study.main()
    rows = study.read(tmp_path / "results" / "stability.csv")
    assert [(row["setting"], row["architecture"]) for row in rows] == [
        (str(index), name) for index in range(3) for name in study.ARCHITECTURES
    ]
    assert len(trained) == 9
    assert {row["final_return"] for row in rows} == {"950"}
    for i in range(0, 9, 3):
        assert len({flags[1:] for flags in trained[i : i + 3]}) == 1, "the settings are the same for all"
        assert all((ROOT / flags[0].partition("=")[2]).is_file() for flags in trained[i : i + 3])
    assert len({flags[1:] for flags in trained}) == 3
    assert (tmp_path / "results" / "stability.png").stat().st_size > 5000
