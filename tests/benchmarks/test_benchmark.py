"""The benchmark measures real work and keeps what it measured."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import types

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import benchmark, environments
from impala_tf.benchmarks import architectures, backends, ceilings, measure, scaling, single, training_run
from impala_tf.config import Config, SettingError
from impala_tf.environments.small import episode_lengths
from impala_tf.networks import make_agent
from impala_tf.running import actors
from impala_tf.support.failures import EnvironmentFailure
from tests.support.environments import TESTS
from tests.support.mains import Mains
from tests.support.paths import ROOT
from tests.support.runs import TINY

CONFIG = Config(**TINY)


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    """What is measured here need not be exact."""
    monkeypatch.setattr(training_run, "WARM_UP_SECS", 0.05)


def test_a_rate_is_of_all_threads_without_their_first_calls(monkeypatch):
    """Two threads for 8 s of wall time and 3 s of CPU time, on clocks that the test sets."""
    calls = [0, 0]
    clock = dict(wall=100.0, cpu=20.0)

    def make_work(i):
        def work():
            calls[i] += 1
            return 5

        return work

    def sleep(secs):
        while min(calls) < 3:
            time.sleep(0.001)
        clock.update(wall=clock["wall"] + secs, cpu=clock["cpu"] + 3.0)

    monkeypatch.setattr(measure, "time", types.SimpleNamespace(perf_counter=lambda: clock["wall"], sleep=sleep))
    monkeypatch.setattr(measure, "cpu_secs", lambda: clock["cpu"])
    rate = measure.measure_in_threads([make_work(0), make_work(1)], 8.0)
    steps = 5 * (sum(calls) - 2)
    assert rate == pytest.approx((steps / 8.0, 3.0 / steps))

    def broken():
        calls[0] += 1
        if calls[0] > 1:
            raise ValueError("as it was")
        return 1

    calls[:] = [0, 3]
    monkeypatch.setattr(measure, "time", time)
    with pytest.raises(ValueError, match="as it was"):
        measure.measure_in_threads([broken], 0.01)


def test_cpu_seconds_are_those_of_all_processes():
    before = measure.cpu_secs()
    started = time.process_time()
    while time.process_time() - started < 0.1:
        pass
    assert measure.cpu_secs() - before >= 0.08  # The clocks tick every 10 ms.
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert measure.cpu_secs() - before >= 0.25
        child.communicate(b"\n")


def test_the_machine_is_on_record():
    machine = measure.describe_machine()
    assert machine["cores"] >= 1
    assert machine["memory_gib"] > 0
    assert {"cpu", "gpu", "versions", "date", "commit"} <= set(machine)
    assert "tensorflow" in machine["versions"]
    json.dumps(machine)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        dict(core="lstm", core_size=8),
        dict(env_id="ALE/Pong-v5", num_action_repeats=4, network="shallow", envs_per_step=2, unroll_length=2),
        dict(env_id="MinAtar/Breakout-v1", network="minatar"),
    ],
    ids=["mlp", "lstm", "frames in parts", "planes of bits"],
)
def test_each_part_alone(settings):
    config = Config(**(TINY | settings))
    environment_spec = environments.spec_of(config)
    agent = make_agent(config, environment_spec.observation_space, environment_spec.action_space)
    spec = actors.unroll_spec_of(agent, config.unroll_length)
    before = agent.flat_weights().numpy()
    for rate in (
        ceilings.measure_environment(config, environment_spec, 0.1),
        ceilings.measure_policy(agent, config.unroll_length, 3, 0.1),
        ceilings.measure_learner(config, environment_spec, spec, 0.1),
        ceilings.measure_queue(config, spec, 0.1),
    ):
        assert rate.steps_per_sec > 1
        assert rate.cpu_secs_per_step > 0
    np.testing.assert_array_equal(agent.flat_weights(), before)


def test_the_efficiency_is_of_the_parts(monkeypatch):
    monkeypatch.setattr(ceilings, "BATCHES", (1,))
    rows = list(ceilings.rows(CONFIG, 0.1, 1))
    assert [row["name"] for row in rows[4:]] == ["policy, 1 rows", "actor", "whole"]
    assert [row["name"] for row in rows[:4]] == ["environment", "policy, 4 rows", "learner", "queue"]
    last = rows[-1]
    assert last["name"] == "whole"
    secs = sum(row["cpu_us_per_step"] for row in rows[:4]) / 1e6
    assert last["ceiling_steps_per_sec"] == pytest.approx(environments.available_cores() / secs)
    assert last["efficiency"] == pytest.approx(last["steps_per_sec"] * secs / environments.available_cores())
    assert last["to_parts"]["learner"] == pytest.approx(last["steps_per_sec"] / rows[2]["steps_per_sec"])
    assert "learner: " in last["bottleneck"]


def test_a_measured_run_leaves_nothing_running():
    import threading

    before = threading.active_count()
    measured = training_run.measure(CONFIG, 0.2)
    assert measured.rate.steps_per_sec > 10
    assert {"act", "put", "update"} <= set(measured.secs)
    assert 0 <= measured.lag_mean <= measured.lag_max
    assert threading.active_count() <= before + 1


def test_a_measured_run_raises_what_failed():
    import dataclasses

    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        training_run.measure(dataclasses.replace(CONFIG, env_id=f"{TESTS}Failing-v0"), 60)


def test_architectures_differ_in_nothing_else():
    config = Config(num_actors=8, num_envs_per_actor=4)
    all_settings = [architectures.settings(config, "x", name, dynamic) for _, name, dynamic, _ in architectures.TABLE]
    assert len(all_settings) == 6
    for one in all_settings:
        assert (one.num_actors, one.num_envs_per_actor, one.hidden_sizes, one.unroll_length) == (8, 4, (64, 64), 20)
        assert one.concurrent_actors == 8
    assert [one.batch_size for one in all_settings] == [4, 32, 32, 32, 32, 32]


def test_architectures_are_really_trained(monkeypatch):
    monkeypatch.setattr(architectures, "TABLE", architectures.TABLE[1:2])
    config = Config(num_actors=2, num_envs_per_actor=2, unroll_length=2, hidden_sizes=(16,), xla="off")
    rows = list(architectures.rows(config, 0.2, 1))
    assert [row["name"] for row in rows] == [f"Batched A2C (sync step), {task}" for task in architectures.TASKS]
    assert [row["paper_frames_per_sec"] for row in rows] == [9000, 5000]
    assert all(row["frames_per_sec"] > 10 for row in rows)


def test_the_tasks_of_the_architectures():
    def lengths(env, count):
        env.reset(seed=1)
        found, steps = [], 0
        while len(found) < count:
            steps += 1
            _, _, terminated, truncated, _ = env.step(0)
            assert not terminated
            if truncated:
                found.append(steps)
                steps = 0
                env.reset()
        return np.array(found)

    assert set(lengths(gym.make(episode_lengths.EVEN_ID), 5)) == {100}
    uneven = gym.make(episode_lengths.UNEVEN_ID)
    found = lengths(uneven, 40)
    assert found.min() >= episode_lengths.SHORTEST
    assert found.max() <= episode_lengths.LONGEST
    assert found.std() > 50
    started = time.perf_counter()
    uneven.reset()
    assert time.perf_counter() - started >= episode_lengths.RESET_SECS


def test_scaling_changes_one_setting_at_a_time(monkeypatch, tmp_path):
    seen = []

    def pretend(config, secs):
        seen.append(config)
        return training_run.RunMeasurement(measure.Rate(100.0 * config.num_actors, 1e-3), 1e-3, 1.0, 2.0, 9.0, "", {})

    monkeypatch.setattr(training_run, "measure", pretend)
    config = Config(num_actors=2, num_envs_per_actor=4, batch_size=4, unroll_length=5)
    rows = list(scaling.rows(config, 0.1, 1))
    for one in seen:
        assert sum(getattr(one, name) != getattr(config, name) for name in scaling.SETTINGS) <= 1
    assert {row["setting"] for row in rows} == set(scaling.SETTINGS)
    assert max(one.num_actors for one in seen) == 8
    written = scaling.write(rows, tmp_path / "scaling.json")
    assert [path.suffix for path in written] == [".csv", ".png"]
    with written[0].open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows)
    assert table[0]["setting"] == "num_actors"
    with pytest.raises(SettingError, match="--architecture=a3c: the scaling suite is for impala"):
        next(scaling.rows(Config(architecture="a3c", batch_size=64), 0.1, 1))


def test_one_environment_per_actor(monkeypatch):
    monkeypatch.setattr(single, "NUM_ACTORS", (2,))
    rows = list(single.rows(Config(unroll_length=2, batch_size=2, hidden_sizes=(16,), xla="off"), 0.1, 1))
    assert len({row["name"] for row in rows}) == len(rows) == 4
    assert all(row["name"].startswith("2 x 1, ") and row["steps_per_sec"] > 1 for row in rows)


def test_suites_do_not_fail_halfway():
    """What a case cannot be is known before the first is measured."""
    config = Config(num_envs_per_actor=8, envs_per_step=4, vectorization="envpool", dynamic_batching=True)
    points = scaling.points(config)
    assert {name for name, _, _ in points} == set(scaling.SETTINGS)
    assert min(value for name, value, _ in points if name == "num_envs_per_actor") == 4
    config = Config(architecture="a3c", batch_size=64, policy_lag=0)
    assert {one.architecture for one in single.cases(config).values()} == {"impala", "a2c_sync_step"}
    dynamic = single.cases(Config(dynamic_batching=True, dynamic_batching_max=64))
    assert [one.dynamic_batching for one in dynamic.values()] == [False, True, True, False] * 2
    for _, name, dynamic_batching, _ in architectures.TABLE:
        architectures.settings(Config(policy_lag=3), "x", name, dynamic_batching)


def test_a_signal_keeps_what_was_measured(tmp_path, capsys):
    path = tmp_path / "out.json"

    def rows():
        yield {"name": "first", "steps_per_sec": 1.0}
        assert json.loads(path.read_text())["rows"] == [{"name": "first", "steps_per_sec": 1.0}]
        os.kill(os.getpid(), signal.SIGINT)
        yield {"name": "second", "steps_per_sec": 2.0}
        raise AssertionError("goes on after the signal")

    result = {"rows": []}
    benchmark.collect(rows(), result, path)
    assert [row["name"] for row in json.loads(path.read_text())["rows"]] == ["first", "second"]


def test_the_table_and_the_comparison():
    rows = [
        {"name": "a", "steps_per_sec": 1234.5, "bottleneck": "hidden"},
        {"name": "longer", "steps_per_sec": 0.5, "lag_mean": 2.0},
    ]
    assert benchmark.table(rows).splitlines() == [
        "name    steps_per_sec  lag_mean",
        "a               1,234          ",
        "longer            0.5         2",
    ]
    old = {"rows": [{"name": "a", "steps_per_sec": 617.25}, {"name": "gone", "steps_per_sec": 1.0}]}
    assert benchmark.comparison(rows, old) == "a: 2.00 times 617 steps_per_sec"
    assert benchmark.comparison(rows[1:], old) == "no row in common"


SETTINGS = [f"--{name}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for name, v in TINY.items()]


def test_the_command(tmp_path):
    """A real measurement, compared with an earlier result."""
    old, path = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(dict(suite="ceilings", rows=[dict(name="whole", steps_per_sec=10.0)])))
    command = [sys.executable, "-m", "impala_tf.benchmark", *SETTINGS, "--secs=0.1", "--repeats=1"]
    command += [f"--output={path}", f"--compare={old}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "efficiency " in done.stdout
    new = json.loads(path.read_text())
    assert new["suite"] == "ceilings"
    assert "--num_actors=2" in new["settings"]
    assert new["machine"]["cores"] == environments.available_cores()
    ratio = new["rows"][-1]["steps_per_sec"] / 10.0
    assert f"whole: {ratio:.2f} times 10 steps_per_sec" in done.stdout


@pytest.fixture(scope="module")
def mains():
    with Mains() as mains:
        yield mains


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--suite=speed"], "speed"),
        (["--output=x.txt"], "--output=x.txt: must be a .json file"),
        (["--output=/proc/x/y.json"], "--output=/proc/x/y.json: cannot be written"),
        (["--compare=no-such.json"], "--compare=no-such.json: is not a result of this command"),
        (["--env_id=CartPol-v1"], "did you mean CartPole-v1"),
        (["--repeats=0"], "repeats"),
        (["--cluster_actors=4,x"], "--cluster_actors=4,x: must be whole numbers with commas between them"),
        (["--cluster_actors=0"], "--cluster_actors=0: give one or more sizes of at least 1"),
        (
            ["--cluster_actors=4", "--cluster_learners=8"],
            "--cluster_actors=4: each of --cluster_learners=8 needs an actor",
        ),
        (["--cluster_network_gbit=0"], "--cluster_network_gbit=0.0: must be above 0"),
    ],
)
def test_mistakes_of_the_command(mains, tmp_path, tmp_path_factory, arguments, message):
    done = mains.run("benchmark", *SETTINGS, *arguments, cwd=tmp_path, output=tmp_path_factory.mktemp("output"))
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_results_of_another_suite_are_not_compared(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"suite": "scaling", "rows": []}))
    with pytest.raises(SettingError, match="is of --suite=scaling, not ceilings"):
        benchmark.read_old(str(path), "ceilings")
    path.write_text(json.dumps({"suite": "ceilings", "rows": [{"name": "a", "steps_per_sec": None}]}))
    with pytest.raises(SettingError, match="is not a result of this command"):
        benchmark.read_old(str(path), "ceilings")


def test_backends_are_compared_by_speed_and_transport(monkeypatch):
    monkeypatch.setattr(backends, "TASKS", {"tiny": dict(num_envs_per_actor=4)})
    monkeypatch.setattr(backends, "BACKENDS", ("threads", "processes"))
    rows = list(backends.rows(CONFIG, 0.3, 1))
    assert [row["name"] for row in rows] == ["tiny, threads", "tiny, processes", "transport of tiny, processes"]
    for row in rows[:2]:
        assert row["frames_per_sec"] > 0
        assert row["lag_mean"] >= 0
        assert 0 < row["learner_cpu_us_per_frame"] <= 1.1 * row["cpu_us_per_frame"]
    transport = rows[2]
    assert transport["mb_per_unroll"] > 0.001
    assert transport["mb_per_version"] == pytest.approx(4e-6 * (4 * 16 + 16 + 16 * 2 + 2 + 4 * 16 + 16 + 16 + 1))
    assert transport["ms_per_unroll"] > 0 < transport["cpu_ms_per_unroll"]
