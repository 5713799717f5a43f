"""An algorithm of one's own: a file with a loss, which --algorithm=module:function names; nothing else changes."""

import sys

import numpy as np
import pytest

from impala_tf.config import SettingError
from tests.support.paths import ROOT
from tests.support.runs import metrics_of, run


def test_the_example_learns_cartpole(tmp_path):
    summary = run(
        tmp_path,
        algorithm="examples.own_algorithm:ActorCritic",
        total_environment_frames=150_000,
        num_envs_per_actor=32,
        batch_size=32,
        unroll_length=20,
        hidden_sizes=(64, 64),
        xla="auto",
        log_every_secs=0.3,
    )
    assert summary.mean_return > 150
    metrics = metrics_of(tmp_path)
    assert np.isfinite(metrics["mean_return"]).all(), "its own statistics are columns"
    assert "ratio_mean" not in metrics


def test_the_example_is_short():
    assert len((ROOT / "examples" / "own_algorithm.py").read_text().splitlines()) < 40


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("class Own:\n    def __init__(self, config):\n        raise RuntimeError('no')\n", "fails .RuntimeError: no"),
        ("def Own(config):\n    return object()\n", "returns a object without loss, metric_names, needs; must"),
    ],
)
def test_what_is_no_algorithm_is_said_in_one_line(tmp_path, monkeypatch, source, message):
    (tmp_path / "an_algorithm.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "an_algorithm", raising=False)
    with pytest.raises(SettingError, match=message) as error:
        run(tmp_path / "run", algorithm="an_algorithm:Own")
    assert str(error.value).startswith("--algorithm=an_algorithm:Own: ")
    assert "\n" not in str(error.value)
