"""The table and curves that scripts/reproduce_*.py make of finished runs."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.paths import ROOT


def load():
    spec = importlib.util.spec_from_file_location("reproducing", ROOT / "scripts" / "reproducing.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["reproducing"] = module
    spec.loader.exec_module(module)
    return module


def test_finished_seeds_are_collected_and_others_left_out(tmp_path):
    reproducing = load()
    experiment = reproducing.Experiment("game", "A game", ("--seed=1",), {100: 3.0, 200: 5.0}, action_repeat=4)
    for seed, finished in ((1, True), (2, False)):
        logdir = tmp_path / "game" / f"seed{seed}"
        logdir.mkdir(parents=True)
        with (logdir / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, [*reproducing.CURVE_COLUMNS, "updates"])
            writer.writeheader()
            for frames in range(40, 801, 40):  # 10 to 200 agent steps.
                row = dict.fromkeys(reproducing.CURVE_COLUMNS, 0.5) | dict(seconds=frames / 10, updates=frames)
                writer.writerow(row | dict(environment_frames=frames, episode_return_last_100=frames / 100))
        result = dict(mean=7.0, interval_95=[6.0, 8.0])
        if finished:
            (logdir / "evaluation.json").write_text(json.dumps(dict(sampled=result, greedy=result | dict(mean=7.5))))
    table, curves = reproducing.collect(experiment, tmp_path)
    (row,) = table
    assert (row["seed"], row["agent_steps"], row["steps_per_sec"]) == (1, 200, "2")
    assert row["milestones"] == "4 at 0.0001M (bar 3); 8 at 0.0002M (bar 5)"
    assert (row["sampled"], row["greedy"], row["sampled_interval_95"]) == ("7", "7.5", "6 to 8")
    assert {row["seed"] for row in curves} == {1}
    assert curves[-1]["environment_frames"] == "800"
    reproducing.draw([experiment], curves, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_rows_of_runs_that_are_elsewhere_stay(tmp_path):
    reproducing = load()
    experiments = [reproducing.Experiment(name, name, (), {}, action_repeat=1) for name in ("one", "two")]
    path = tmp_path / "table.csv"
    names = [("two", 1), ("two", 2), ("one", 1), ("removed", 1)]
    reproducing.write(path, [dict(experiment=name, seed=seed, result="old") for name, seed in names])
    new = [dict(experiment="two", seed=2, result="new")]
    rows = reproducing.with_earlier(path, new, experiments)
    assert [(row["experiment"], row["seed"], row["result"]) for row in rows] == [
        ("one", 1, "old"), ("two", 1, "old"), ("two", 2, "new")
    ]  # fmt: skip


def test_an_interrupted_greedy_evaluation_leaves_the_sampled_one(tmp_path, monkeypatch):
    """A greedy evaluation of Atari can take half an hour; the other one is not to be played again."""
    reproducing = load()
    experiment = reproducing.Experiment("game", "A game", (), {}, action_repeat=1)
    logdir = tmp_path / "game" / "seed1"
    logdir.mkdir(parents=True)
    played = []

    def fake_process(*command):
        if "impala_tf.evaluate" not in command:
            end_training(logdir, frames=100)
            return
        greedy = "--greedy" in command
        played.append(greedy)
        (output,) = (part.removeprefix("--output=") for part in command if part.startswith("--output="))
        with open(output, "w") as file:
            if greedy and played.count(True) == 1:
                file.write("{")
                raise KeyboardInterrupt
            json.dump(dict(mean=2.0 if greedy else 1.0), file)

    monkeypatch.setattr(reproducing, "call", fake_process)
    with pytest.raises(KeyboardInterrupt):
        reproducing.run(experiment, 1, tmp_path, 100)
    assert not (logdir / "evaluation.json").exists()
    reproducing.run(experiment, 1, tmp_path, 100)
    assert played == [False, True, True]
    assert json.loads((logdir / "evaluation.json").read_text()) == dict(sampled=dict(mean=1.0), greedy=dict(mean=2.0))


def end_training(logdir, frames):
    """What a run of 100 frames that ended after `frames` leaves."""
    (logdir / "settings.flags").write_text("--seed=1\n--total_environment_frames=100\n")
    (logdir / "metrics.csv").write_text(f"environment_frames\n{frames}\n")


def test_a_run_that_was_stopped_is_not_taken_for_a_finished_one(tmp_path, monkeypatch):
    """After SIGTERM a training saves and ends as if all were well."""
    reproducing = load()
    logdir = tmp_path / "game" / "seed1"
    logdir.mkdir(parents=True)
    monkeypatch.setattr(reproducing, "call", lambda *command: end_training(logdir, frames=99))
    with pytest.raises(SystemExit, match="was stopped after 99 of 100 frames; start again to go on"):
        reproducing.run(reproducing.Experiment("game", "A game", (), {}, action_repeat=1), 1, tmp_path, 100)
    assert not (logdir / "evaluation.json").exists()


def test_ctrl_c_lets_the_training_save(tmp_path):
    """The terminal sends SIGINT to both processes; the child here takes a second to end."""
    child = tmp_path / "child.py"
    child.write_text(
        "import pathlib, signal, time\n"
        "def end(*_):\n"
        "    time.sleep(1)\n"
        f"    pathlib.Path({str(tmp_path / 'saved')!r}).touch()\n"
        "    raise SystemExit\n"
        "signal.signal(signal.SIGINT, end)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)\n"
    )
    parent = tmp_path / "parent.py"
    # A shell's background job, such as these tests may be, would ignore SIGINT.
    parent.write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        "import reproducing\n"
        f"reproducing.call({str(child)!r})\n"
    )
    process = subprocess.Popen([sys.executable, str(parent)], start_new_session=True, stderr=subprocess.DEVNULL)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    assert (tmp_path / "saved").exists()
