"""Whole runs whose actors are in other processes of this machine."""

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from impala_tf.records.tables import read_rows
from impala_tf.running.hosts import memory
from impala_tf.support.failures import EnvironmentFailure
from tests.support.environments import TESTS
from tests.support.runs import learned, metrics_of, run


def test_a_run_with_a_killed_process_goes_on_and_leaves_none_behind(tmp_path, capsys, monkeypatch):
    """Two hosts of two actors and one; one is killed, comes back, and SIGTERM ends the run."""
    memories = []

    def shared_memory(*arguments, **settings):
        memories.append(SharedMemory(*arguments, **settings))
        return memories[-1]

    monkeypatch.setattr(memory, "SharedMemory", shared_memory)
    killed = []

    def rows():
        return read_rows(tmp_path / "metrics.csv")

    def kill_one_then_stop():
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if not killed and rows() and rows()[-1]["actors_alive"] == "3":
                victim = next(p for p in multiprocessing.active_children() if p.name == "actors 0 to 1")
                victim.kill()
                killed.append(victim.pid)
            if rows() and rows()[-1]["actor_restarts"] == "1" and rows()[-1]["actors_alive"] == "3":
                break
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=kill_one_then_stop, daemon=True).start()
    summary = run(tmp_path, actor_backend="processes", actors_per_host=2, num_actors=3, total_environment_frames=10**9)
    metrics = metrics_of(tmp_path)
    assert "1" in metrics["actors_alive"].astype(int).astype(str), "one actor went on alone"
    assert metrics["actors_alive"][-1] == 3
    assert metrics["actor_restarts"][-1] == 1
    assert metrics["unroll_mb_per_sec"].max() > 0
    assert np.isfinite(metrics["policy_lag_mean"]).all()
    assert metrics["secs/act"][-1] > metrics["secs/environment"][-1] > 0
    assert int(learned(tmp_path)["updates"]) == summary.updates
    lines = capsys.readouterr().err
    assert f"actors 0 to 1: lost (their process, {killed[0]}, has ended by SIGKILL); starting again" in lines
    assert "actors 0 to 1: there again" in lines
    assert not multiprocessing.active_children()
    assert len(memories) >= 3, "two hosts' unrolls and the weights"
    for closed in memories:
        with pytest.raises(FileNotFoundError):
            SharedMemory(closed.name)


def test_an_error_in_an_environment_ends_the_run_with_it(tmp_path):
    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        run(tmp_path, actor_backend="processes", env_id=f"{TESTS}Failing-v0", total_environment_frames=10**9)
    assert int(learned(tmp_path)["updates"]) > 10, "what was learned before the error is saved"
    assert not multiprocessing.active_children()
