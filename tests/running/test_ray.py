"""A whole run whose actors are on a Ray cluster of several nodes, and what is refused. One cluster serves all tests."""

import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.records.tables import read_rows
from impala_tf.running.hosts import ray_hosts
from impala_tf.support.failures import EnvironmentFailure
from tests.support.environments import TESTS
from tests.support.paths import ROOT
from tests.support.runs import TINY, learned, metrics_of, run

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


def start(cluster, logdir):
    """python -m impala_tf.experiment with two actors on the cluster, in a process of its own."""
    settings = TINY | dict(
        actor_backend="ray",
        ray_address=cluster.address,
        logdir=logdir,
        total_environment_frames=10**9,
        log_every_secs=0.2,
        hidden_sizes=16,
    )
    flags = [f"--{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "impala_tf.experiment", *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(logdir, process, actors, restarts, more_frames=0):
    """Waits for a row of metrics.csv with so many actors and restarts, and frames; returns the frames."""
    deadline = time.monotonic() + 120
    while process.poll() is None:
        rows = read_rows(logdir / "metrics.csv")[-1:]
        for row in rows:
            counts = int(row["actors_alive"]), int(row["actor_restarts"])
            if counts == (actors, restarts) and int(row["environment_frames"]) > more_frames:
                return int(row["environment_frames"])
        assert time.monotonic() < deadline, f"not {actors} actors and {restarts} restarts, but {rows}"
        time.sleep(0.1)
    raise AssertionError(process.communicate()[1])


def test_actors_join_die_and_leave_with_their_node(tmp_path, cluster):
    process = start(cluster, tmp_path)
    try:
        wait_for(tmp_path, process, 1, 0)
        node = cluster.add_node(num_cpus=1)
        wait_for(tmp_path, process, 2, 0)
        actor_processes()[0].kill()
        wait_for(tmp_path, process, 2, 1)
        cluster.remove_node(node, allow_graceful=False)
        frames = wait_for(tmp_path, process, 1, 2)
        wait_for(tmp_path, process, 1, 2, more_frames=frames)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    metrics = metrics_of(tmp_path)
    assert int(learned(tmp_path)["updates"]) == metrics["updates"][-1]
    assert (np.diff(metrics["environment_frames"]) > 0).all()
    assert metrics["weight_puts_per_sec"].max() > 0
    assert stderr.count("starting again") == 2
    assert "there again" in stderr
    assert "***" not in stderr, "Ray's own report of the signal"
    deadline = time.monotonic() + 20
    while actor_processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not actor_processes(), "actors are left behind"


def test_an_error_in_an_environment_ends_the_run_with_it(tmp_path, cluster):
    """The program is in the cluster already, and stays there."""
    ray.init(cluster.address, log_to_driver=False)
    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        run(
            tmp_path,
            actor_backend="ray",
            actors_per_host=2,
            env_id=f"{TESTS}Failing-v0",
            total_environment_frames=10**9,
        )
    assert int(learned(tmp_path)["updates"]) > 10, "what was learned before the error is saved"
    assert ray.is_initialized()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999999"])
def test_an_address_without_a_cluster_is_said_in_one_line(address):
    with pytest.raises(
        SettingError, match=rf"^--ray_address={address}: no cluster there .* `ray start --head`"
    ) as error:
        ray_hosts.check_ray(Config(actor_backend="ray", ray_address=address))
    assert "\n" not in str(error.value)
    ray_hosts.check_ray(Config(actor_backend="ray", ray_address="auto"))


def test_without_ray_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(ray_hosts.importlib.util, "find_spec", lambda name: None)
    ray_hosts.check_ray(Config(actor_backend="processes"))
    with pytest.raises(
        SettingError, match=r"--actor_backend=ray: Ray is not installed: pip install 'impala_tf\[ray\]'"
    ):
        ray_hosts.check_ray(Config(actor_backend="ray"))
