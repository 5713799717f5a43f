"""A user's mistakes: one line on stderr that names the flag, exit code 2, nothing written. And what --help shows."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from impala_tf.config import GROUPS, fields
from impala_tf.settings.setting import COMMON
from tests.support.environments import TESTS
from tests.support.mains import Mains

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def mains():
    with Mains() as mains:
        yield mains


@pytest.fixture
def run(mains, tmp_path, tmp_path_factory):
    """A function that runs a main in a fork, with `tmp_path` as its working directory."""
    output = tmp_path_factory.mktemp("output")
    return lambda module, *arguments: mains.run(module, *arguments, cwd=tmp_path, output=output)


def run_in_a_process(module, *arguments, cwd, python=()):
    """python: options of Python itself."""
    command = [sys.executable, *python, "-m", f"impala_tf.{module}", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "110"}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=environment)


EXPERIMENT = [
    (["--env_id=CartPol-v1"], r"--env_id=CartPol-v1: unknown environment .*did you mean CartPole-v1"),
    (
        [f"--env_id={TESTS}Rounded-v0"],
        r"its action space Box.*Box of int32; supported: Discrete",
    ),
    (
        [f"--env_id={TESTS}Unsupported-v0"],
        r"observation space Sequence.*supported: Box, Discrete",
    ),
    (["--batch_size=0"], r"--batch_size=0: must be at least 1"),
    (["--unroll_length=-3"], r"--unroll_length=-3: must be at least 1"),
    (["--clip_rho_threshold=-1"], r"--clip_rho_threshold=-1.0: must be at least 0"),
    (["--seed=9300000000000000"], r"--seed=9300000000000000: must be at least 0 and at most 9223372036854774$"),
    (["--batch_size=many"], r"flag --batch_size=many: .*"),
    (["--noprofile=1"], r"--noprofile=1 does not take an argument"),
    (["--hidden_sizes=64,x"], r"--hidden_sizes=64,x: must be whole numbers"),
    (["--logdir=/proc/nothing"], r"--logdir=/proc/nothing: cannot be written \(.*\); give a directory that can"),
    (["--batchsize=3"], r"Unknown command line flag 'batchsize'\. Did you mean: batch_size.*"),
    (["--flagfile=bad.flags"], r"bad.flags line 2: Unknown command line flag 'no_such_flag'"),
    (["--flagfile", "bad.flags"], r"bad.flags line 2: Unknown command line flag 'no_such_flag'"),
    (["--flagfile=deep/outer.flags"], r": deep/inner.flags line 3: Unknown command line flag 'no_flag'"),
    (["--flagfile=deep/values.flags"], r": deep/values.flags line 2: flag --batch_size=many: "),
    (["--flagfile"], r"--flagfile: give the path of a flag file"),
    (["--env_id=CartPol-v1", "--flagfile=acrobot.flags"], r"--env_id=CartPol-v1: unknown environment"),
    (["--flagfile=acrobot.flags", "--env_id=CartPol-v1"], r"--env_id=CartPol-v1: unknown environment"),
    (["--flagfile=cartpol.flags", "--flagfile=acrobot.flags", "--mode=test"], r"--logdir=: --mode=test needs"),
    (["--flagfile=acrobot.flags", "--flagfile=cartpol.flags"], r"--env_id=CartPol-v1: unknown environment"),
    (["--env_id=Acrobot-v1", "--vectorization=native"], r"--vectorization=native: Acrobot-v1 has no vector form"),
    (["--mode=test", "--logdir=empty"], r"--logdir: .*empty/saved_model is not an export of impala_tf"),
    (["--logdir=lost"], r"--logdir=lost: every checkpoint in it is damaged; move lost/checkpoints away"),
    (["--flagfile=missing.flags"], r"missing.flags"),
    (["train"], r"train: not a flag; flags are given as --name=value"),
    (["--mode=test"], r"--logdir=: --mode=test needs the log directory of a run"),
    (["--network=shallow"], r"--network=shallow: needs an observation of shape \[height, width, channels\]"),
    (["--split_timing=false", "--batch_size=0"], r"--batch_size=0: must be at least 1"),
]
EVALUATE = [
    ([], r"--saved_model=: give the saved_model directory of a run"),
    (["--saved_model=empty"], r"--saved_model: .*empty is not an export of impala_tf .*"),
    (
        ["--saved_model=damaged"],
        r"--saved_model=.*damaged: cannot be loaded \(impala_tf.json: environment must be an object\)",
    ),
    (["--saved_model=broken"], r"--saved_model=.*broken: cannot be loaded .*"),
    (["--saved_model=empty", "--num_episodes=0"], r"--num_episodes=0: must be at least 1"),
    (["--saved_model=empty", "--video=play.avi"], r"--video=play.avi: must be a .mp4 or .gif file"),
    (
        ["--saved_model=empty", "--output=no/dir.json"],
        r"--output=no/dir.json: must be a file in a directory",
    ),
]


@pytest.fixture
def files(tmp_path):
    """Makes what the mistakes name in the working directory."""
    for name in ("empty", "damaged", "broken", "lost/checkpoints", "deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "bad.flags").write_text("--seed=3\n--no_such_flag=1\n")
    (tmp_path / "acrobot.flags").write_text("--env_id=Acrobot-v1\n")
    (tmp_path / "cartpol.flags").write_text("--env_id=CartPol-v1\n")
    (tmp_path / "deep" / "outer.flags").write_text("--seed=3\n--flagfile=inner.flags\n")
    (tmp_path / "deep" / "inner.flags").write_text("# A comment.\n--seed=4\n--no_flag=1\n")
    (tmp_path / "deep" / "values.flags").write_text("--seed=3\n--batch_size=many\n")
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"xx")
    (tmp_path / "damaged" / "impala_tf.json").write_text("{}")
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"xx")
    (tmp_path / "broken" / "impala_tf.json").write_text('{"environment": {"env_id": "CartPole-v1"}}')
    (tmp_path / "lost" / "checkpoints" / "checkpoint-0000000001.npz").write_bytes(b"xx")


def assert_is_one_line(result, message):
    lines = [line for line in result.stderr.splitlines() if "is damaged (" not in line]  # A line for each of these.
    assert len(lines) == 1, result.stderr
    assert re.search(message, lines[0]), lines[0]
    assert lines[0].startswith("impala_tf: ")
    assert result.returncode == 2
    assert result.stdout == ""


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [("experiment", *case) for case in EXPERIMENT] + [("evaluate", *case) for case in EVALUATE],
    ids=[" ".join(case[0]) or "nothing" for case in EXPERIMENT + EVALUATE],
)
def test_mistakes(run, tmp_path, module, arguments, message):
    before = sorted(tmp_path.rglob("*"))
    assert_is_one_line(run(module, *arguments), message)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("module", ["experiment", "evaluate"])
def test_a_mistake_in_a_process_of_its_own(tmp_path, module):
    assert_is_one_line(run_in_a_process(module, "--no_such_flag=1", cwd=tmp_path), "Unknown command line flag")


def test_a_removed_flag_is_taken_and_what_it_asked_for_is_said(run):
    result = run("experiment", "--split_timing", "--batch_size=0")
    first, second = result.stderr.splitlines()
    assert first.startswith("impala_tf: --split_timing=true: does nothing any more: ")
    assert second.startswith("impala_tf: --batch_size=0")
    assert result.returncode == 2


def flags_in(text):
    return re.findall(r"^  --(\w+)=", text, re.MULTILINE)


@pytest.mark.parametrize("argument", ["--help", "-h", "-?", "--helpshort", "-help"])
def test_help_shows_what_many_people_use(run, argument):
    result = run("experiment", argument)
    assert (result.returncode, result.stderr) == (0, "")
    common = [field.name for field in fields() if COMMON in field.metadata["roles"]]
    assert flags_in(result.stdout) == common
    assert 20 <= len(common) <= 30
    for absent in ("split_timing", "verbosity", "pdb", "epsilon"):
        assert absent not in result.stdout
    assert "--helpfull shows every flag" in " ".join(result.stdout.split())


def test_help_has_at_most_two_lines_for_a_flag_and_headings(tmp_path):
    result = run_in_a_process("experiment", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.startswith("Trains IMPALA.")
    for group in GROUPS:
        if any(COMMON in field.metadata["roles"] for field in fields() if field.name in group.__annotations__):
            assert f"\n\n{group.__name__}: {group.__doc__}\n" in result.stdout
    entries = re.split(r"^  (?=--)", result.stdout.split("\n\nEvaluationSettings")[0], flags=re.MULTILINE)[1:]
    assert len(entries) > 20
    for entry in entries:
        assert len(entry.strip().split("\n\n")[0].splitlines()) <= 2, entry
        assert max(map(len, entry.splitlines())) <= 110


def test_help_does_not_wait_for_tensorflow(tmp_path):
    imports = run_in_a_process("experiment", "--help", cwd=tmp_path, python=("-X", "importtime")).stderr
    assert "impala_tf.support.command_line" in imports
    assert "tensorflow" not in imports
    assert "keras" not in imports


def test_helpfull_shows_all_with_units_and_sources(run):
    result = run("experiment", "--helpfull")
    assert (result.returncode, result.stderr) == (0, "")
    assert flags_in(result.stdout) == [field.name for field in fields()]
    text = " ".join(result.stdout.split())
    assert "--unroll_length=20 T, steps in an unroll. [unit: agent steps] [source: Espeholt et al. 2018" in text
    for group in GROUPS:
        assert f"{group.__name__}: {group.__doc__}" in result.stdout


def test_help_of_the_other_mains(run):
    result = run("evaluate", "--help")
    assert result.returncode == 0
    assert flags_in(result.stdout)[:3] == ["saved_model", "env_id", "protocol"]
    assert "batch_size" not in result.stdout
    result = run("benchmark", "--help")
    assert result.returncode == 0
    assert flags_in(result.stdout)[:6] == ["suite", "repeats", "secs", "output", "compare", "mode"]
    assert "batch_size" in result.stdout


def test_a_reader_that_has_seen_enough_of_help_gets_no_error(tmp_path):
    script = f'"{sys.executable}" -m impala_tf.experiment --helpfull | head -1; exit "${{PIPESTATUS[0]}}"'
    command = ["bash", "-c", script]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Trains IMPALA.\n", "")


@pytest.mark.parametrize("debug", [False, True])
def test_an_environments_error_is_one_line_unless_all_is_asked_for(debug):
    program = """from impala_tf.support import command_line
from impala_tf.support.failures import EnvironmentFailure
def main():
    raise EnvironmentFailure("--env_id=x: environment 3 raised in its step") from OSError("the simulator has died")
command_line.run_main(main, None)"""
    command = [sys.executable, "-c", program, *["--debug"] * debug]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert ("OSError: the simulator has died" in result.stderr) == debug
    if not debug:
        assert result.stderr == "impala_tf: --env_id=x: environment 3 raised in its step\n"
