"""Whole runs: what they leave, how they end, how they go on. Each uses real threads, queues and environments."""

import csv
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config, SettingError
from impala_tf.evaluation import evaluate_exports, protocols
from impala_tf.evaluation.export import ExportedAgent
from impala_tf.learning.learner import Learner
from impala_tf.networks import make_agent
from impala_tf.records import profile
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.files import write_npz
from impala_tf.records.logdir import LogDir
from impala_tf.records.tables import read_rows
from impala_tf.running.training import train
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.support.threads import RunError
from tests.support.environments import TESTS, needs_envpool
from tests.support.paths import ROOT
from tests.support.runs import TINY, learned, metrics_of, run


def start(*arguments, **settings):
    """python -m impala_tf.experiment in a process of its own."""
    command = [sys.executable, "-m", "impala_tf.experiment", *arguments]
    command += [f"--{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A log directory after a short run with an LSTM."""
    logdir = tmp_path_factory.mktemp("finished")
    summary = run(logdir, core="lstm", core_size=8, env_id="impala_tf/CartPoleNoVelocity-v1")
    return logdir, summary


def test_what_a_run_leaves(finished):
    logdir, summary = finished
    assert summary.environment_frames >= 3000
    # A step of 8 environments times 5 rows, with 4 in a batch: never more than a batch above the budget.
    assert summary.environment_frames < 3000 + 4 * 5
    metrics = metrics_of(logdir)
    assert metrics["environment_frames"][-1] == summary.environment_frames
    assert metrics["updates"][-1] == summary.updates
    assert (np.diff(metrics["environment_frames"]) > 0).all()
    np.testing.assert_allclose(
        metrics["learning_rate"], 3e-3 * np.maximum(0, 1 - metrics["environment_frames"] / 3000), rtol=1e-4
    )
    assert metrics["ratio_min"].min() > 0
    assert (metrics["ratio_min"] <= metrics["ratio_mean"]).all()
    assert (metrics["ratio_mean"] <= metrics["ratio_max"]).all()
    assert 0 < metrics["mean_entropy"].max() <= np.log(2) + 1e-6
    assert (metrics["policy_lag_mean"] <= metrics["policy_lag_max"]).all()
    with (logdir / "episodes.csv").open() as file:
        episodes = list(csv.DictReader(file))
    assert len(episodes) == summary.episodes == metrics["episodes"][-1]
    # Whole episodes: CartPole pays 1 a step. Steps of unfinished ones and of the last queue are not in it.
    assert all(float(e["episode_return"]) == float(e["episode_length"]) for e in episodes)
    steps = sum(float(e["episode_length"]) for e in episodes)
    assert 0.5 * summary.environment_frames < steps <= summary.environment_frames
    assert {e["actor"] for e in episodes} == {"0", "1"}
    assert list(logdir.glob("events*"))
    assert (logdir / "saved_model" / "saved_model.pb").exists()


def test_a_run_can_be_repeated_from_its_flag_file(finished, tmp_path):
    logdir, _ = finished
    process = start(flagfile=logdir / "settings.flags", logdir=tmp_path / "again", total_environment_frames=200)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    first, again = ((d / "settings.flags").read_text().splitlines() for d in (logdir, tmp_path / "again"))
    assert [line for line in first if line not in again] == ["--total_environment_frames=3000"]


def test_the_export_equals_the_agent_that_was_trained(finished, tmp_path):
    """Row by row, with the core state that it returns, in a process that has no impala_tf."""
    logdir, _ = finished
    program = tmp_path / "plain.py"
    program.write_text(PLAIN)
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", str(program), str(logdir / "saved_model")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    got = json.loads(result.stdout.splitlines()[-1])

    config = Config(**(TINY | dict(core="lstm", core_size=8, env_id="impala_tf/CartPoleNoVelocity-v1")))
    space = gym.spaces.Box(-1, 1, (2,), np.float32)
    learner = Learner(config, make_agent(config, space, gym.spaces.Discrete(2)), make_algorithm(config), "/CPU:0")
    learner.restore(learned(logdir))
    agent = learner.agent
    observation = tf.reshape(tf.linspace(-1.0, 1.0, 4 * 3 * 2), [4, 3, 2])
    first = tf.constant([[True] * 3, [False] * 3, [False, True, False], [False] * 3])
    nothing = tf.zeros([4, 3]), tf.zeros([4, 3], tf.int64)
    parameters, baselines = agent.unroll(observation, *nothing, first, agent.initial_state(3))
    np.testing.assert_allclose(got["policy_parameters"], parameters, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["baseline"], baselines, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(got["greedy_action"], np.argmax(parameters, axis=-1))


PLAIN = """
import json, sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
assert not any(name.startswith("impala_tf") for name in sys.modules)
state = model.signatures["initial_state"](batch_size=tf.constant(3))["core_state"]
observation = tf.reshape(tf.linspace(-1.0, 1.0, 4 * 3 * 2), [4, 3, 2])
first = tf.constant([[True] * 3, [False] * 3, [False, True, False], [False] * 3])
results = []
for t in range(4):
    out = model.signatures["step"](observation=observation[t], reward=tf.zeros([3]),
                                   last_action=tf.zeros([3], tf.int64), first=first[t], core_state=state,
                                   seed=tf.constant([1, t]))
    state = out["core_state"]
    results.append(out)
names = ("policy_parameters", "baseline", "greedy_action")
print(json.dumps({name: [out[name].numpy().tolist() for out in results] for name in names}))
"""


def test_stopped_and_started_again_it_goes_on(tmp_path):
    """A first part that ends early, and a second that takes the run to its end."""
    first = start(logdir=tmp_path, num_envs_per_actor=4, batch_size=4, unroll_length=5, xla="off", log_every_secs=0.1,
                  total_environment_frames=10_000_000)  # fmt: skip
    deadline = time.monotonic() + 60
    metrics = tmp_path / "metrics.csv"
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 3) and time.monotonic() < deadline:
        time.sleep(0.1)
    first.send_signal(signal.SIGTERM)
    _, stderr = first.communicate(timeout=30)
    assert first.returncode == 0, stderr
    assert "SIGTERM" in stderr
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    before = metrics_of(tmp_path)
    arrays = learned(tmp_path)
    assert arrays["environment_frames"] == before["environment_frames"][-1]

    settings = {"hidden_sizes": (64, 64), "num_actors": 4, "total_environment_frames": 10_000_000}
    total = int(arrays["environment_frames"]) + 3000
    summary = run(tmp_path, **(settings | {"total_environment_frames": total}))
    after = metrics_of(tmp_path)
    assert summary.environment_frames >= total
    assert len(after["updates"]) > len(before["updates"])
    for name in ("environment_frames", "updates", "episodes", "seconds"):
        np.testing.assert_array_equal(after[name][: len(before[name])], before[name], err_msg=name)
        assert (np.diff(after[name]) >= 0).all(), name
    gap = after["environment_frames"][len(before["updates"])] - before["environment_frames"][-1]
    assert 0 < gap < 3000 + 20
    rates = Config().learning_rate * (1 - after["environment_frames"][len(before["updates"]) :] / total)
    np.testing.assert_allclose(
        after["learning_rate"][len(before["updates"]) :], np.maximum(rates, 0), rtol=1e-3, atol=1e-8
    )


def test_a_finished_run_only_exports_again(finished):
    logdir, summary = finished
    before = learned(logdir)
    again = run(logdir, core="lstm", core_size=8, env_id="impala_tf/CartPoleNoVelocity-v1")
    assert (again.environment_frames, again.updates) == (summary.environment_frames, summary.updates)
    assert again.episodes == summary.episodes
    after = learned(logdir)
    for name, array in before.items():
        if name != "info":
            np.testing.assert_array_equal(array, after[name], err_msg=name)


def test_a_damaged_checkpoint_is_passed_over(tmp_path, capsys):
    run(tmp_path, checkpoint_every_updates=50)
    paths = sorted((tmp_path / "checkpoints").glob("*.npz"))
    assert len(paths) == 3
    paths[-1].write_bytes(paths[-1].read_bytes()[:3000])
    frames = int(np.load(paths[-2])["environment_frames"])
    summary = run(tmp_path, total_environment_frames=frames + 1000)
    assert frames + 1000 <= summary.environment_frames < frames + 1000 + 20
    assert f"{paths[-1]} is damaged" in capsys.readouterr().out
    assert (np.diff(metrics_of(tmp_path)["environment_frames"]) > 0).all()


def test_only_damaged_checkpoints_are_not_started_over(tmp_path):
    run(tmp_path, total_environment_frames=200)
    for path in (tmp_path / "checkpoints").glob("*.npz"):
        path.write_bytes(b"")
    with pytest.raises(SettingError, match="every checkpoint in it is damaged"):
        run(tmp_path)


def test_another_network_is_refused(finished):
    logdir, _ = finished
    contents = sorted((p, p.stat().st_mtime_ns) for p in logdir.rglob("*"))
    with pytest.raises(SettingError, match=r"--hidden_sizes=16 \(given: 8\), --core=lstm \(given: none\)"):
        run(logdir, hidden_sizes=(8,), core_size=8, env_id="impala_tf/CartPoleNoVelocity-v1")
    assert sorted((p, p.stat().st_mtime_ns) for p in logdir.rglob("*")) == contents


def test_csv_of_a_run_without_checkpoint_is_set_aside(tmp_path):
    (tmp_path / "metrics.csv").write_text("environment_frames\n1\n")
    run(tmp_path, total_environment_frames=200)
    (old,) = tmp_path.glob("metrics.csv.before-*")
    assert old.read_text() == "environment_frames\n1\n"


@pytest.mark.parametrize("dynamic_batching", [False, True])
def test_an_error_in_an_environment_ends_the_run_with_it(tmp_path, dynamic_batching):
    settings = dict(env_id=f"{TESTS}Failing-v0", dynamic_batching=dynamic_batching)
    threads = threading.active_count()
    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        run(tmp_path, total_environment_frames=10**9, **settings)
    assert int(learned(tmp_path)["updates"]) > 10, "what was learned before the error is saved"
    deadline = time.monotonic() + 30
    while threading.active_count() > threads + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= threads + 1, "threads are left behind"


def test_a_dead_environment_process_ends_the_run(tmp_path):
    def kill_one():
        while not multiprocessing.active_children() or not list(tmp_path.glob("metrics.csv")):
            time.sleep(0.05)
        multiprocessing.active_children()[0].kill()

    threading.Thread(target=kill_one, daemon=True).start()
    with pytest.raises(EnvironmentFailure, match=r"has lost its process, .* which ended by SIGKILL"):
        run(tmp_path, vectorization="async", num_envs_per_actor=2, batch_size=2, total_environment_frames=10**9)
    assert int(learned(tmp_path)["updates"]) > 0
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not multiprocessing.active_children(), "processes are left behind"


def test_an_error_in_the_main_thread_saves_too(tmp_path, monkeypatch):
    def closed(run, _):
        if run.learner.updates:
            raise OSError("the terminal is closed")

    monkeypatch.setattr("impala_tf.running.training.show", closed)
    with pytest.raises(OSError, match="the terminal is closed"):
        run(tmp_path, total_environment_frames=10**9)
    assert int(learned(tmp_path)["updates"]) > 0


def test_a_full_disk_leaves_the_run_going_and_whole_files(tmp_path, monkeypatch, capsys):
    """No checkpoint but the first and the last can be written."""
    tried = []

    def write(path, arrays, info):
        tried.append(int(arrays["updates"]))
        if len(tried) > 1 and int(arrays["environment_frames"]) < 3000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_npz(path, arrays, info)

    monkeypatch.setattr("impala_tf.records.checkpoints.write_npz", write)
    summary = run(tmp_path, total_environment_frames=3000, checkpoint_every_updates=20)
    assert len(tried) > 4
    lines = [line for line in capsys.readouterr().err.splitlines() if "cannot be written" in line]
    assert len(lines) == 1
    assert (
        f"the checkpoint of update {tried[1]} cannot be written (No space left on device); the run goes on" in lines[0]
    )
    saved = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert saved == [f"checkpoint-{updates:010d}.npz" for updates in (tried[0], summary.updates)]


def test_what_came_before_a_checkpoint_is_in_the_files_before_it(tmp_path, monkeypatch):
    """A kill after it loses no episode and no second that it counts. The main thread writes no row meanwhile."""
    seen = []

    def save(self, updates, arrays, info):
        row = read_rows(tmp_path / "metrics.csv")[-1]
        seen.append((updates, int(row["updates"]), info["metrics"]["seconds"] - float(row["seconds"])))
        assert info["metrics"]["episodes"] == int(row["episodes"]) == len(read_rows(tmp_path / "episodes.csv"))
        plain(self, updates, arrays, info)

    plain = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", save)
    run(tmp_path, checkpoint_every_updates=30, log_every_secs=1000.0)
    assert len(seen) >= 4
    for updates, last_row, secs in seen:
        assert last_row == updates
        assert -1e-3 < secs < 1


def test_what_cannot_be_written_at_the_end_is_said_in_one_line_and_the_rest_is_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("impala_tf.records.checkpoints.write_npz", full)
    with pytest.raises(RunError, match=r"^the last checkpoint could not be written \(No space left on device\)"):
        run(tmp_path, total_environment_frames=200)
    assert (tmp_path / "saved_model" / "saved_model.pb").exists()


def test_changed_settings_are_said(tmp_path):
    run(tmp_path, total_environment_frames=200)
    lines = []
    LogDir(Config(logdir=str(tmp_path), learning_rate=0.5, **TINY), warn=lines.append)
    assert len(lines) == 1
    assert "--learning_rate=0.003 (given: 0.5)" in lines[0]


def test_a_checkpoint_of_another_network_without_its_settings(tmp_path):
    run(tmp_path, total_environment_frames=200)
    (tmp_path / "settings.flags").unlink()
    with pytest.raises(SettingError, match="its checkpoint is of another network"):
        run(tmp_path, hidden_sizes=(8,))


TWO_DEVICES = """
import pathlib, sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from impala_tf.running import actors, training
from impala_tf.config import Config
from impala_tf.records.checkpoints import Checkpoints
from impala_tf.records.files import write_npz
from impala_tf.records.logdir import LogDir
from impala_tf.records.tables import read_rows
plain = actors.make_policy
def make_policy(*arguments):
    make = tf.device
    tf.device = lambda name: make("/CPU:1" if name == "/CPU:0" else name)
    try:
        return plain(*arguments)
    finally:
        tf.device = make
actors.make_policy = make_policy
config = Config(logdir=sys.argv[1], num_envs_per_actor=4, batch_size=4, unroll_length=5, dynamic_batching=True,
                total_environment_frames=500, xla="off")
training.train(config, LogDir(config, warn=print))
"""


def test_dynamic_batching_with_the_agent_on_another_device(tmp_path):
    """As on a machine with a GPU: actors on one device, the shared agent on another (here a second logical CPU)."""
    command = [sys.executable, "-c", TWO_DEVICES, str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stderr
    assert learned(tmp_path)["environment_frames"] >= 500


@pytest.mark.parametrize(
    "settings",
    [
        {"dynamic_batching": True, "core": "lstm", "core_size": 8, "use_last_action_and_reward": True},
        {"vectorization": "async", "num_envs_per_actor": 2, "batch_size": 2},
        {
            "env_id": f"{TESTS}Pictures-v0",
            "network": "shallow",
            "total_environment_frames": 300,
        },
        {"env_id": "FrozenLake-v1", "separate_value_network": False},
        {"policy_lag": 5, "xla": "on", "reward_clipping": "abs_one", "num_action_repeats": 2},
    ],
    ids=["dynamic batching", "async", "pictures", "discrete observations", "lag"],
)
def test_other_settings_run(tmp_path, settings):
    total = settings.get("total_environment_frames", 1000)
    summary = run(tmp_path, **(settings | {"total_environment_frames": total}))
    assert summary.environment_frames >= total
    metrics = metrics_of(tmp_path)
    assert np.isfinite(metrics["total"]).all()
    # Not in all rows: one may be written between an update's passes and its record.
    if settings.get("policy_lag"):
        assert metrics["policy_lag_mean"][-1] >= 5
    ExportedAgent(tmp_path / "saved_model").initial_state(2)


def test_cartpole_is_learned(tmp_path):
    """Seconds, not the whole way: the mean return rises well above the random policy's 22."""
    config = Config(logdir=str(tmp_path), total_environment_frames=500_000, log_every_secs=0.1)
    summary = train(config, LogDir(config, warn=print))
    assert summary.mean_return > 150
    metrics = metrics_of(tmp_path)
    assert metrics["episode_return_last_100"][0] < 60


def test_a_profile_of_a_run(tmp_path, monkeypatch, capsys):
    """The trace begins and ends by itself, holds the timed blocks, and a run too short for it says so."""
    monkeypatch.setattr(profile, "START_SECS", 0.05)
    monkeypatch.setattr(profile, "SECS", 0.2)
    run(tmp_path / "long", profile=True, total_environment_frames=30_000, log_every_secs=5.0)
    (trace,) = (tmp_path / "long").glob("plugins/profile/*/*.xplane.pb")
    content = trace.read_bytes()
    for block in (b"update", b"act", b"StatefulPartitionedCall"):
        assert block in content
    monkeypatch.setattr(profile, "START_SECS", 1000.0)
    run(tmp_path / "short", profile=True, total_environment_frames=200)
    assert "--profile: the run ended before its trace began" in capsys.readouterr().err
    assert not (tmp_path / "short" / "plugins").exists()


@pytest.mark.parametrize("vectorization", ["ale", pytest.param("envpool", marks=needs_envpool)])
def test_an_agent_of_another_back_end_is_evaluated_in_its_environment(vectorization, tmp_path):
    settings = dict(env_id="ALE/Pong-v5", num_action_repeats=4, vectorization=vectorization, frame_stack=2, noop_max=5)
    run(tmp_path, network="shallow", separate_value_network=False, total_environment_frames=400, **settings)
    config = protocols.evaluation_config(tmp_path / "saved_model", "")
    for name, value in settings.items():
        assert getattr(config, name) == value
    agent = ExportedAgent(tmp_path / "saved_model")
    agent.check_fits(environments.spec_of(config), config.env_id)
    other = protocols.evaluation_config(tmp_path / "saved_model", "ALE/Breakout-v5")
    assert (other.env_id, other.vectorization, other.frame_stack) == ("ALE/Breakout-v5", "auto", 2)
    with pytest.raises(SettingError, match=r"--frame_stack: |--frame_stack=2"):
        environments.spec_of(protocols.evaluation_config(tmp_path / "saved_model", "CartPole-v1"))
    if vectorization == "envpool":
        with pytest.raises(SettingError, match="EnvPool's environments cannot be drawn"):
            evaluate_exports.evaluate(
                [tmp_path / "saved_model"],
                evaluate_exports.Options(1),
                evaluate_exports.Files(video=tmp_path / "x.mp4"),
            )


def test_other_frames_than_the_checkpoints_are_refused_before_anything_is_written(tmp_path):
    settings = dict(env_id="ALE/Pong-v5", num_action_repeats=4, network="shallow", separate_value_network=False)
    run(tmp_path, total_environment_frames=400, **settings)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SettingError, match="--frame_stack=4"):
        run(tmp_path, total_environment_frames=800, frame_stack=2, **settings)
    assert sorted(tmp_path.iterdir()) == before
