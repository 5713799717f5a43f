"""Several learners as processes of this machine: one run that is hurt, goes on and is ended."""

import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.running import launcher, local_learners
from impala_tf.running.ray_learners import GONE
from tests.support.paths import ROOT
from tests.support.runs import TINY, metrics_of

LONGEST_SECS = 120.0  # This only bounds a hang.


def wait_until(holds, process):
    deadline = time.monotonic() + LONGEST_SECS
    while not holds():
        assert time.monotonic() < deadline, "it takes too long"
        assert process.poll() is None, "the launcher has ended"
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("backend", "cause"), [("processes", "was killed by SIGKILL"), ("ray", "is gone with its Ray actor")]
)
def test_a_run_goes_on_after_a_learner_was_killed_and_ends_when_it_is_asked(backend, cause, tmp_path):
    """With Ray it is the actor that is killed, and the learner's process with it."""
    logdir, errors = tmp_path / "run", tmp_path / "errors.txt"
    settings = TINY | dict(hidden_sizes=16, num_learners=2, total_environment_frames=10**9, logdir=logdir)
    settings |= dict(checkpoint_every_updates=20, log_every_secs=0.05, learner_backend=backend)
    command = [sys.executable, "-m", "impala_tf.experiment", *(f"--{name}={value}" for name, value in settings.items())]

    def newest():
        return max((int(path.stem[-10:]) for path in logdir.glob("checkpoints/checkpoint-*.npz")), default=0)

    with errors.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=file)
    try:
        wait_until(newest, process)
        children = psutil.Process(process.pid).children(recursive=True)
        [follower] = [child for child in children if "--learner_index=1" in child.cmdline()]
        (follower if backend == "processes" else follower.parent()).kill()
        wait_until(lambda: "start again" in errors.read_text(), process)
        at_kill = newest()
        assert "impala_tf: learner 0 ends, since another of the 2 learners has ended" in errors.read_text()
        assert f"learner 1 {cause}; all start again from the last checkpoint" in errors.read_text()
        assert not follower.is_running() or follower.status() == psutil.STATUS_ZOMBIE
        wait_until(lambda: newest() > at_kill, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(LONGEST_SECS) == 0, errors.read_text()
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()
    metrics = metrics_of(logdir)
    assert (np.diff(metrics["updates"]) > 0).all(), "rows of lost updates are dropped, and none is repeated"
    frames_per_update = np.diff(metrics["environment_frames"]) / np.diff(metrics["updates"])
    assert frames_per_update.max() > 1.5 * TINY["batch_size"] * TINY["unroll_length"] * 0.8, (
        "frames of both are counted"
    )
    assert newest() == metrics["updates"][-1]
    assert (logdir / "saved_model" / "saved_model.pb").exists()
    flags = (logdir / "settings.flags").read_text()
    assert "--num_learners=2\n" in flags
    assert not re.search("learner_(hosts|index)", flags)


@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ([0, 0], (0, 0)),
        ([3, -9], (1, 3)),
        ([3, None], (1, 3)),
        ([None, 1], (1, 1)),
        ([-9, 3], (0, 3)),
        ([3, 3], (0, 3)),
        ([3, 2], (1, 2)),
        ([0, 1], (1, 1)),
        ([2, 2], (0, 2)),
        ([-15, 1], (1, 1)),
        ([3, GONE], (1, 3)),
    ],
)
def test_whose_end_was_the_cause(codes, outcome):
    """3 says that all may start again."""
    assert launcher._outcome(codes) == outcome


def test_each_learner_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    assert local_learners.gpu_of_each(2)[:2] == ["4", "5"]
    with pytest.raises(SettingError, match="--num_learners=4: each learner needs a GPU of its own, and there are 3"):
        local_learners.gpu_of_each(4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local_learners.gpu_of_each(2) == []


def test_a_mistake_is_said_before_a_learner_is_started(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(SettingError, match="--env_id=Nothing-v7"):
        launcher.launch(Config(num_learners=2, env_id="Nothing-v7"))
