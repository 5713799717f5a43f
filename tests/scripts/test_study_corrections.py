"""The table, the curves and the picture of scripts/study_corrections.py, without its trainings."""

import csv
import importlib
import sys

import pytest

from tests.support.paths import ROOT


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module = importlib.import_module("study_corrections")
    monkeypatch.setattr(module, "machine", dict)
    return module


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def call(study, monkeypatch, tmp_path, *arguments):
    places = (f"--results={tmp_path / 'results'}", f"--runs={tmp_path / 'runs'}")
    monkeypatch.setattr(sys, "argv", ["study_corrections.py", *places, *arguments])
    study.main()


def test_a_table_a_curve_and_a_picture_come_of_runs_that_are_made_once(study, monkeypatch, tmp_path):
    trained = []

    def fake_train(flags, seed, logdir):
        trained.append((logdir.name, seed))
        if len(trained) == 5:
            raise KeyboardInterrupt
        logdir.mkdir(parents=True)
        columns = ("ratio_mean", "ratio_clipped_fraction", "policy_lag_mean", "mean_entropy", "seconds", "updates")
        write_csv(logdir / "metrics.csv", [dict.fromkeys(columns, i) | dict(ratio_max=i**3) for i in (1, 2, 6)])
        # The last episodes end in an update that goes over the budget.
        episodes = [dict(environment_frames=frames, episode_return=frames / 100) for frames in range(100, 1020, 5)]
        write_csv(logdir / "episodes.csv", episodes)

    monkeypatch.setattr(study, "train", fake_train)
    arguments = ("--games=Breakout", "--replay=0", "--lags=100,0", "--frames=1000", "--seeds=1")
    with pytest.raises(KeyboardInterrupt):
        call(study, monkeypatch, tmp_path, *arguments)
    call(study, monkeypatch, tmp_path, *arguments)
    expected = [
        (f"Breakout_0.0_{lag}_{correction}_1", 1)
        for lag in (100, 0)
        for correction in ("vtrace", "one_step", "epsilon", "none")
    ]
    assert [*trained[:4], *trained[5:]] == expected, "each run once, and the one that was stopped again"

    rows = study.read(tmp_path / "results" / "corrections.csv")
    assert [(row["lag"], row["correction"]) for row in rows][3:5] == [("100", "none"), ("0", "vtrace")]
    row = rows[-1]
    # 900 to 950 and 950 to the end, as parts of the frames.
    assert float(row["final_return"]) == pytest.approx((9.225 + 9.825) / 2, abs=0.01)
    assert (row["ratio_max"], row["ratio_mean"], row["final_entropy"]) == ("8", "3", "6")
    curve = study.read(tmp_path / "results" / "corrections_curves.csv")[-1]
    assert [float(curve[f"r{i}"]) for i in (1, 3)] == pytest.approx([0, 1.225], abs=0.01)
    assert (tmp_path / "results" / "corrections.png").stat().st_size > 5000
    assert not list((tmp_path / "runs").iterdir()), "a run whose row is written is not kept"


def test_a_part_without_an_episode_takes_the_part_before_it(study):
    episodes = [dict(environment_frames=frames, episode_return=frames) for frames in (120, 130, 990)]
    curve = study.curve(episodes, 1000)
    assert curve[:4] == [0, 0, 125, 125]
    assert curve[-1] == 990


def test_the_flags_of_a_cell_are_settings(study):
    from impala_tf.config import Config, fields

    flags = study.Cell("Breakout", 0.5, 10, "none").flags(1000)
    given = dict(flag[2:].split("=") for flag in flags)
    assert set(given) - {"flagfile"} <= {field.name for field in fields()}
    Config(correction=given["correction"], policy_lag=int(given["policy_lag"]), replay_fraction=0.5)
    assert not any("replay" in flag for flag in study.Cell("Breakout", 0.0, 10, "none").flags(1000))
