"""The scripts that the documents name: their help, and what the quick ones do."""

import csv
import functools
import gzip
import json
import re
import runpy
import shutil
import subprocess
import sys
import types

import pytest

import impala_tf
from impala_tf.config import Config
from tests.support.paths import ROOT

SCRIPTS = ROOT / "scripts"
# One process asks all of them, each as if it were called by its name.
ASK_ALL = """
import contextlib, io, runpy, sys
folder, *names = sys.argv[1:]
sys.path.insert(0, folder)
for name in names:
    sys.argv = [name, "--help"]
    text = io.StringIO()
    code = "none"
    with contextlib.redirect_stdout(text):
        try:
            runpy.run_path(f"{folder}/{name}", run_name="__main__")
        except SystemExit as exit:
            code = exit.code
    print(name, code, text.getvalue().startswith("usage: "), "tensorflow" in sys.modules)
"""


def with_a_main():
    return sorted(path.name for path in SCRIPTS.glob("*.py") if '__name__ == "__main__"' in path.read_text())


def test_every_script_has_a_help_that_runs_nothing():
    names = with_a_main()
    assert len(names) >= 16
    command = [sys.executable, "-c", ASK_ALL, str(SCRIPTS), *names]
    before = {path: path.stat().st_mtime_ns for path in (ROOT / "docs").rglob("*")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} 0 True False" for name in names]
    assert {path: path.stat().st_mtime_ns for path in (ROOT / "docs").rglob("*")} == before


def test_documents_name_scripts_that_exist():
    texts = [path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *SCRIPTS.glob("*"))]
    named = {name for text in texts for name in re.findall(r"scripts/(\w+\.(?:py|sh))", text)}
    assert len(named) > 10
    for name in named:
        assert (SCRIPTS / name).exists(), name


def run_script(monkeypatch, name, *arguments):
    """Runs a script in this process; returns its exit code, or the message that it exits with."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    try:
        runpy.run_path(str(SCRIPTS / name), run_name="__main__")
    except SystemExit as exit:
        return exit.code
    return None


@pytest.fixture
def documents(tmp_path):
    """Copies of the documents with tables."""
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "docs").mkdir()
    for path in (ROOT / "docs").glob("*.md"):
        shutil.copy(path, tmp_path / "docs")
    return tmp_path


def test_tables_that_differ_from_the_results_are_named(documents, monkeypatch):
    assert run_script(monkeypatch, "fill_tables.py", "--check", f"--into={documents}") is None
    page = documents / "docs" / "environments.md"
    right = page.read_text()
    start = right.index("<!-- time_limits -->")
    at = right.index("100.", start)
    page.write_text(wrong := right[:at] + "999." + right[at + 4 :])
    message = run_script(monkeypatch, "fill_tables.py", "--check", f"--into={documents}")
    assert message.splitlines() == [
        "docs/environments.md: the table `time_limits` is not what docs/results holds",
        "run python scripts/fill_tables.py",
    ]
    assert page.read_text() == wrong, "a check writes nothing"
    assert run_script(monkeypatch, "fill_tables.py", f"--into={documents}") is None
    assert page.read_text() == right


def test_a_document_without_a_tables_markers_is_named(documents, monkeypatch):
    page = documents / "README.md"
    page.write_text(page.read_text().replace("<!-- /speed -->", ""))
    message = run_script(monkeypatch, "fill_tables.py", "--check", f"--into={documents}")
    assert message == f"{page}: has no markers <!-- speed --> and <!-- /speed -->"


def test_flags_that_are_not_the_defaults_are_found(tmp_path, monkeypatch):
    path = tmp_path / "cartpole.flags"
    assert run_script(monkeypatch, "write_cartpole_flags.py", f"--output={path}") is None
    assert path.read_text() == (ROOT / "flags" / "cartpole.flags").read_text()
    assert run_script(monkeypatch, "write_cartpole_flags.py", "--check", f"--output={path}") is None
    path.write_text(path.read_text().replace("--unroll_length=20", "--unroll_length=21"))
    message = run_script(monkeypatch, "write_cartpole_flags.py", "--check", f"--output={path}")
    assert message == f"{path}: does not hold the defaults; run python scripts/write_cartpole_flags.py"


def test_a_run_is_drawn(tmp_path, monkeypatch, capsys):
    columns = dict.fromkeys(
        ("baseline", "mean_entropy", "ratio_max", "ratio_mean", "ratio_min", "secs/update", "secs/batch"), 0.5
    )
    for name in ("seed1", "seed2"):
        (tmp_path / name).mkdir()
        rows = [columns | dict(environment_frames=i, updates=i, episode_return_last_100=i) for i in (1, 2, 3)]
        write_csv(tmp_path / name / "metrics.csv", rows)
        episodes = [dict(actor=i % 2, episode_return=i, task="CartPole-v1") for i in range(9)]
        write_csv(tmp_path / name / "episodes.csv", episodes)
    assert run_script(monkeypatch, "plot_run.py", tmp_path / "seed1", tmp_path / "seed2") is None
    pictures = sorted((tmp_path / "seed1" / "plots").iterdir())
    assert [path.name for path in pictures] == ["episodes.png", "losses.png", "ratios_and_times.png", "returns.png"]
    assert all(path.stat().st_size > 5000 for path in pictures)
    assert sorted(capsys.readouterr().out.split()) == [str(path) for path in pictures]
    curves = tmp_path / "curves.csv"
    write_csv(curves, [dict(seed=s, environment_frames=i, episode_return_last_100=i) for s in (1, 2) for i in (1, 2)])
    assert run_script(monkeypatch, "plot_run.py", f"--curves={curves}", f"--output={tmp_path / 'drawn'}") is None
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["returns.png"]
    message = run_script(monkeypatch, "plot_run.py", tmp_path / "no_such_run")
    assert message == f"plot_run: {tmp_path}/no_such_run/metrics.csv does not exist; give the log directory of a run"


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_a_profile_is_summed_by_thread_and_block(tmp_path, monkeypatch, capsys):
    """xprof, which reads the trace, is an extra; here something else reads it."""

    def read(paths, tool, options):
        assert (paths, tool) == ([str(trace)], "trace_viewer")
        named = [
            dict(name="process_name", pid=1, args=dict(name="/host:CPU")),
            dict(name="thread_name", pid=1, tid=7, args=dict(name="learner")),
        ]
        blocks = [
            dict(ph="X", pid=1, tid=tid, name=name, dur=micros)
            for tid, name, micros in ((7, "update", 1500.0), (7, "update", 500.0), (8, "act", 1000.0))
        ]
        return json.dumps(dict(traceEvents=named + blocks)), ""

    package, module = types.ModuleType("xprof"), types.ModuleType("xprof.convert")
    module.raw_to_tool_data = types.SimpleNamespace(xspace_to_tool_data=read)
    monkeypatch.setitem(sys.modules, "xprof", package)
    monkeypatch.setitem(sys.modules, "xprof.convert", module)
    assert run_script(monkeypatch, "sum_profile.py", tmp_path) == f"{tmp_path}: no trace in it; make one with --profile"
    trace = tmp_path / "plugins" / "profile" / "now" / "host.xplane.pb"
    trace.parent.mkdir(parents=True)
    trace.touch()
    assert run_script(monkeypatch, "sum_profile.py", tmp_path) is None
    _, *lines, last = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["2.0", "2", "learner", "7:", "update"],
        ["1.0", "1", "/host:CPU", "8:", "act"],
    ]
    assert last == f"written for ui.perfetto.dev: {trace.with_name('trace.json.gz')}"
    with gzip.open(trace.with_name("trace.json.gz"), "rt") as file:
        assert len(json.load(file)["traceEvents"]) == 5


def test_the_time_limits_are_compared_where_one_says(tmp_path, monkeypatch):
    monkeypatch.setattr(impala_tf, "Config", functools.partial(Config, num_actors=1, xla="off"))
    recorded = ROOT / "docs" / "results" / "time_limits.csv"
    before = recorded.read_text()
    output = tmp_path / "out.csv"
    assert run_script(monkeypatch, "compare_time_limits.py", f"--output={output}", "--frames=400", "--seeds=1") is None
    with output.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["bootstrap"], row["seed"]) for row in rows] == [("True", "1"), ("False", "1")]
    for row in rows:
        assert float(row["error"]) == pytest.approx(float(row["value"]) - 100, abs=0.02)
    assert recorded.read_text() == before


def test_an_export_is_played_without_the_package(tmp_path, monkeypatch, capsys):
    from tests.support.runs import run

    run(tmp_path, total_environment_frames=200)
    arguments = (tmp_path / "saved_model", "CartPole-v1", "--episodes_per_env=1")
    assert run_script(monkeypatch, "play_saved_model.py", *arguments) is None
    assert re.search(r"^CartPole-v1, greedy, 20 episodes: mean \d+\.\d, min \d+$", capsys.readouterr().out, re.M)
