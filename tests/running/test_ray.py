"""A whole run whose actors are on a Ray cluster of several nodes, and what is refused. One cluster serves all tests."""

import os
import signal
import threading
import time

import numpy as np
import psutil
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.records.tables import read_rows
from impala_tf.running.hosts import ray_hosts
from tests.support.environments import TESTS
from tests.support.runs import learned, metrics_of, run

ray = pytest.importorskip("ray")
ACTOR = "ray::RayHost"  # Ray gives this name to the process of an actor.


@pytest.fixture(scope="module")
def cluster():
    """A head without CPUs and one node with one; more join in a test."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False))
    cluster.add_node(num_cpus=1)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def actor_processes():
    """The processes of Ray actors that this test's nodes have."""
    return [p for p in psutil.Process().children(recursive=True) if p.name().startswith(ACTOR[:15])]


class Script(threading.Thread):
    """Does one thing after the other to a run, each when metrics.csv says that it is time; then SIGTERM ends the run.

    A node ends with the thread that added it.
    """

    def __init__(self, logdir, steps):
        super().__init__(daemon=True)
        self.logdir, self.steps = logdir, steps
        self.done = []
        self.start()

    def run(self):
        try:
            for name, is_time, act in self.steps:
                deadline = time.monotonic() + 120
                while not is_time(*self.last_rows()):
                    if time.monotonic() > deadline:
                        return
                    time.sleep(0.05)
                act()
                self.done.append(name)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def last_rows(self):
        """(actors alive, restarts) of the last row, and the frames of the last two."""
        rows = read_rows(self.logdir / "metrics.csv")[-2:]
        if len(rows) < 2:
            return 0, 0, 0
        return (
            *(int(rows[-1][name]) for name in ("actors_alive", "actor_restarts")),
            int(rows[-1]["environment_frames"]) - int(rows[0]["environment_frames"]),
        )


def test_actors_join_die_and_leave_with_their_node(tmp_path, cluster, capsys):
    nodes = []
    script = Script(
        tmp_path,
        [
            ("joins", lambda alive, *_: alive == 1, lambda: nodes.append(cluster.add_node(num_cpus=1))),
            ("dies", lambda alive, *_: alive == 2, lambda: actor_processes()[0].kill()),
            (
                "leaves",
                lambda alive, restarts, _: (alive, restarts) == (2, 1),
                lambda: cluster.remove_node(nodes.pop(), allow_graceful=False),
            ),
            ("goes on", lambda alive, restarts, frames: (alive, restarts) == (1, 2) and frames > 0, lambda: None),
        ],
    )
    summary = run(
        tmp_path, actor_backend="ray", ray_address=cluster.address, total_environment_frames=10**9, log_every_secs=0.2
    )
    assert script.done == ["joins", "dies", "leaves", "goes on"]
    metrics = metrics_of(tmp_path)
    assert int(learned(tmp_path)["updates"]) == summary.updates == metrics["updates"][-1]
    assert (np.diff(metrics["environment_frames"]) > 0).all()
    assert np.isfinite(metrics["policy_lag_mean"]).all()
    assert metrics["weight_puts_per_sec"].max() > 0
    lines = capsys.readouterr().err
    assert lines.count("starting again") == 2
    assert "there again" in lines
    assert not ray.is_initialized(), "the run leaves the cluster"
    deadline = time.monotonic() + 20
    while actor_processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not actor_processes(), "actors are left behind"


def test_an_error_in_an_environment_ends_the_run_with_it(tmp_path, cluster):
    """The program is in the cluster already, and stays there."""
    ray.init(cluster.address, log_to_driver=False)
    with pytest.raises(OSError, match="the simulator has died"):
        run(
            tmp_path,
            actor_backend="ray",
            actors_per_host=2,
            env_id=f"{TESTS}Failing-v0",
            total_environment_frames=10**9,
        )
    assert int(learned(tmp_path)["updates"]) > 10, "what was learned before the error is saved"
    assert ray.is_initialized()


def test_a_cluster_that_does_not_answer_is_said_in_one_line(tmp_path, monkeypatch):
    ray.shutdown()
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1")
    with pytest.raises(SettingError, match=r"^--ray_address=127.0.0.1:1: ") as error:
        ray_hosts.join(Config(actor_backend="ray", ray_address="127.0.0.1:1"), 1)
    assert "\n" not in str(error.value)


def test_without_ray_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(ray_hosts.importlib.util, "find_spec", lambda name: None)
    ray_hosts.check_ray(Config(actor_backend="processes"))
    with pytest.raises(
        SettingError, match=r"--actor_backend=ray: Ray is not installed: pip install 'impala_tf\[ray\]'"
    ):
        ray_hosts.check_ray(Config(actor_backend="ray"))
