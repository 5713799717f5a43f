"""The suite of a cluster: where its costs come from, its rows, its files, and the command."""

import csv
import dataclasses
import json
import subprocess
import sys

import pytest

from impala_tf import config as config_lib
from impala_tf.benchmarks import ceilings, cluster, cluster_paper, cluster_picture
from impala_tf.benchmarks.measure import Rate
from impala_tf.config import Config, SettingError
from impala_tf.settings.cluster_model import ClusterModelSettings
from tests.support.paths import ROOT
from tests.support.runs import TINY

CONFIG = Config(**TINY)  # Its unrolls are of 5 steps, its vectors of 4 environments, its batches of 4 unrolls.


def settings(**changed):
    small = dict(cluster_actors=(2, 40), cluster_learners=(1, 4), cluster_act_ms=20.0, cluster_update_ms=10.0)
    return ClusterModelSettings(**(small | changed))


def test_costs_are_given(monkeypatch):
    monkeypatch.setattr(ceilings, "measure_in_threads", None)  # Nothing is measured.
    measured = cluster.measure_costs(CONFIG, 0.1, 1, settings())
    assert measured[:2] == (0.02, 0.01)
    assert measured.weights_bytes == 4 * (2 * (4 * 16 + 16) + (16 * 2 + 2) + (16 + 1))  # Torsos, policy, baseline.
    # Six rows of four floats are most of an unroll.
    assert 6 * 4 * 4 < measured.unroll_bytes < 20 * 6 * 4
    costs = cluster.make_costs(CONFIG, settings(cluster_network_gbit=8.0, cluster_message_ms=2.0), measured)
    assert (costs.act_secs, costs.update_secs, costs.bytes_per_sec) == (0.02, 0.01, 1e9)
    assert costs.message_secs == pytest.approx(2e-3 + 4 * measured.unroll_bytes / 3e9, rel=1e-6)


def test_costs_are_measured():
    measured = cluster.measure_costs(CONFIG, 0.1, 1, settings(cluster_act_ms=0.0, cluster_update_ms=0.0))
    assert 1e-5 < measured.act_secs < 10
    assert 1e-5 < measured.update_secs < 10


def test_costs_are_those_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(ceilings, "measure_in_threads", None)
    path = tmp_path / "ceilings.json"
    rows = [
        dict(name="actor", steps_per_sec=1000.0, cpu_us_per_step=2000.0),
        dict(name="learner", steps_per_sec=4000.0, cpu_us_per_step=500.0),
    ]
    lines = config_lib.to_flag_lines(CONFIG)
    path.write_text(json.dumps(dict(suite="ceilings", settings=lines, rows=rows)))
    wanted = settings(cluster_costs=str(path), cluster_act_ms=0.0, cluster_update_ms=0.0)
    # An actor of 4 x 5 steps needs more than one core; a learner has its machine for itself.
    assert cluster.measure_costs(CONFIG, 0.1, 1, wanted)[:2] == pytest.approx((20 * 2e-3, 20 / 4000))
    more_actors = dataclasses.replace(CONFIG, num_actors=8)
    assert cluster.measure_costs(more_actors, 0.1, 1, wanted).act_secs == pytest.approx(0.04)
    other = dataclasses.replace(CONFIG, batch_size=8)
    with pytest.raises(SettingError, match=r"ceilings\.json: was measured with --batch_size=4 \(given: 8\)$"):
        cluster.measure_costs(other, 0.1, 1, wanted)
    path.write_text(json.dumps(dict(suite="ceilings", settings=lines, rows=rows[1:])))
    with pytest.raises(SettingError, match="has no rows actor and learner"):
        cluster.read_costs(str(path), CONFIG)
    with pytest.raises(SettingError, match=r"--cluster_costs=none\.json: is not a result of --suite=ceilings"):
        cluster.read_costs("none.json", CONFIG)


def test_a_step_costs_at_least_its_time():
    assert cluster.secs_per_step(Rate(100.0, 1e-3)) == pytest.approx(1e-2)  # It waits.
    assert cluster.secs_per_step(Rate(100.0, 2e-2)) == pytest.approx(2e-2)  # It uses two cores.


def test_rows_and_files(monkeypatch, tmp_path):
    papers = cluster_paper.rows()
    monkeypatch.setattr(cluster_paper, "rows", lambda: papers[:3])
    rows = list(cluster.rows(CONFIG, 0.1, 1, settings()))
    kinds = [row["kind"] for row in rows]
    assert kinds[:3] == ["calibrated", "calibrated", "predicted"]
    own = {(row["actors"], row["learners"]): row for row in rows if row["kind"] == "own costs"}
    assert list(own) == [(2, 1), (40, 1), (40, 4)]  # Two actors cannot feed four learners.
    # An update of 4 unrolls of 5 steps takes 10 ms; an actor makes a batch in 20 ms.
    assert own[2, 1]["frames_per_sec"] == pytest.approx(2 * 20 / 0.02, rel=0.15)
    assert own[40, 1]["frames_per_sec"] == pytest.approx(20 / 0.01, rel=0.02)
    assert own[40, 1]["limit"] == own[40, 4]["limit"] == "learner"
    assert 3 < own[40, 4]["frames_per_sec"] / own[40, 1]["frames_per_sec"] < 4
    assert own[40, 1]["lag_mean"] > own[40, 4]["lag_mean"] > 10
    assert "where the limit is learner: more learners" in cluster.advice(rows)
    written = cluster_picture.write(rows, tmp_path / "cluster.json")
    assert [path.name for path in written] == ["cluster.csv", "cluster.png"]
    with written[0].open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [row["name"] for row in rows]
    # A signal may end the command before the curves begin.
    assert len(cluster_picture.write(rows[:2], tmp_path / "few.json")) == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            dict(architecture="a2c_sync_trajectory", batch_size=8),
            "--architecture=a2c_sync_trajectory: the cluster suite",
        ),
        (dict(vectorization="envpool", envs_per_step=2), "--envs_per_step=2: must be 0"),
    ],
)
def test_what_is_no_cluster_is_refused(changed, message):
    with pytest.raises(SettingError, match=message):
        next(cluster.rows(dataclasses.replace(CONFIG, **changed), 0.1, 1, settings()))


def test_the_command(tmp_path):
    command = [sys.executable, "-m", "impala_tf.benchmark", "--suite=cluster", f"--output={tmp_path}/cluster.json"]
    command += ["--cluster_actors=2,40", "--cluster_learners=2", "--cluster_act_ms=20", "--cluster_update_ms=10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    (row,) = [line for line in lines if line.startswith("own costs, 40 actors, 2 learners")]
    assert "learner" in row
    (row,) = [line for line in lines if line.startswith("IMPALA optimised, 375 CPUs")]
    assert "predicted" in row
    assert "200,000" in row
    assert f"written to {tmp_path}/cluster.json, {tmp_path}/cluster.csv, {tmp_path}/cluster.png" in done.stdout
