"""A user's mistakes: one line on stderr that names the flag, exit code 2, nothing written."""

import pathlib
import re
import subprocess
import sys

import pytest

from tests.support.environments import TESTS

ROOT = pathlib.Path(__file__).parent.parent.parent


def run(module, *arguments, cwd):
    command = [sys.executable, "-m", f"impala_tf.{module}", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=None)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


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
    (["--batch_size=many"], r"flag --batch_size=many: .*"),
    (["--hidden_sizes=64,x"], r"--hidden_sizes=64,x: must be whole numbers"),
    (["--logdir=/proc/nothing"], r"--logdir=/proc/nothing: cannot be written \(.*\); give a directory that can"),
    (["--batchsize=3"], r"Unknown command line flag 'batchsize'\. Did you mean: batch_size.*"),
    (["--flagfile=bad.flags"], r"bad.flags line 2: Unknown command line flag 'no_such_flag'"),
    (["--flagfile", "bad.flags"], r"bad.flags line 2: Unknown command line flag 'no_such_flag'"),
    (["--env_id=Acrobot-v1", "--vectorization=native"], r"--vectorization=native: Acrobot-v1 has no vector form"),
    (["--mode=test", "--logdir=empty"], r"--logdir: .*empty/saved_model is not an export of impala_tf"),
    (["--logdir=lost"], r"--logdir=lost: every checkpoint in it is damaged; move lost/checkpoints away"),
    (["--flagfile=missing.flags"], r"missing.flags"),
    (["train"], r"train: not a flag; flags are given as --name=value"),
    (["--mode=test"], r"--logdir=: --mode=test needs the log directory of a run"),
    (["--network=shallow"], r"--network=shallow: needs an observation of shape \[height, width, channels\]"),
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


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [("experiment", *case) for case in EXPERIMENT] + [("evaluate", *case) for case in EVALUATE],
    ids=[" ".join(case[0]) or "nothing" for case in EXPERIMENT + EVALUATE],
)
def test_mistakes(tmp_path, module, arguments, message):
    (tmp_path / "bad.flags").write_text("--seed=3\n--no_such_flag=1\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"xx")
    (tmp_path / "damaged" / "impala_tf.json").write_text("{}")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"xx")
    (tmp_path / "broken" / "impala_tf.json").write_text('{"environment": {"env_id": "CartPole-v1"}}')
    (tmp_path / "lost" / "checkpoints").mkdir(parents=True)
    (tmp_path / "lost" / "checkpoints" / "checkpoint-0000000001.npz").write_bytes(b"xx")
    before = sorted(tmp_path.rglob("*"))
    result = run(module, *arguments, cwd=tmp_path)
    lines = [line for line in result.stderr.splitlines() if "is damaged (" not in line]  # A line for each of these.
    assert len(lines) == 1, result.stderr
    assert re.search(message, lines[0]), lines[0]
    assert lines[0].startswith("impala_tf: ")
    assert result.returncode == 2
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_help_names_units_and_sources(tmp_path):
    result = run("experiment", "--help", cwd=tmp_path)
    text = " ".join(result.stdout.split())
    assert "--unroll_length: T, steps in an unroll. [unit: agent steps] [source: Espeholt et al. 2018" in text
