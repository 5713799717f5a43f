"""A real population of two members on Ray Tune: killed in the middle, resumed, and its best member exported."""

import csv
import json
import subprocess
import sys
import time

from tests.support.paths import ROOT

FLAGS = (
    "--population=2", "--vary=learning_rate:1e-3:5e-3,entropy_cost:1e-3:1e-2", "--total_environment_frames=8000",
    "--interval_frames=2000", "--burn_in_frames=1000", "--learning_rate_schedule=constant", "--num_actors=1",
    "--num_envs_per_actor=4", "--batch_size=4", "--unroll_length=5", "--hidden_sizes=16", "--xla=off",
    "--checkpoint_every_secs=0", "--cpus_per_member=2",
)  # fmt: skip


def rows_of(path):
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def start(logdir, output):
    command = [sys.executable, "-m", "impala_tf.population", *FLAGS, f"--logdir={logdir}"]
    return subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)


def test_a_killed_population_goes_on_to_its_end(tmp_path):
    logdir = tmp_path / "population"
    with (tmp_path / "first").open("w") as output:
        first = start(logdir, output)
        deadline = time.monotonic() + 150
        while len(rows_of(logdir / "population.csv")) < 1 and first.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        first.kill()
        first.wait()
    before = rows_of(logdir / "population.csv")
    assert len(before) >= 1, (tmp_path / "first").read_text()
    with (tmp_path / "second").open("w") as output:
        assert start(logdir, output).wait(timeout=200) == 0, (tmp_path / "second").read_text()
    text = (tmp_path / "second").read_text()
    rows = rows_of(logdir / "population.csv")
    assert rows[: len(before)] == before, "nothing that was recorded is trained again"
    for member in "01":
        frames = [int(row["environment_frames"]) for row in rows if row["member"] == member]
        assert len(frames) == 4
        assert frames == sorted(set(frames))
        assert frames[-1] >= 8_000
        metrics = rows_of(logdir / "members" / f"00{member}" / "metrics.csv")
        assert [int(row["environment_frames"]) for row in metrics][-1] == frames[-1]
    assert {row["compared_with"] for row in rows if row["member"] == "0"} >= {"1"}
    best = max(
        (rows[i] for i in range(len(rows)) if int(rows[i]["environment_frames"]) >= 8_000),
        key=lambda x: float(x["score"]),
    )
    assert f"best: member {best['member']}, score" in text
    assert "goes on with" in text
    assert "Traceback" not in text
    assert "WARNING" not in text
    info = json.loads((logdir / "best" / "saved_model" / "impala_tf.json").read_text())
    assert info["environment"]["env_id"] == "CartPole-v1"
    assert f"--learning_rate={float(best['learning_rate'])}" in (logdir / "best" / "settings.flags").read_text()
    assert (logdir / "population.png").exists()
