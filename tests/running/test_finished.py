"""A run that has used its budget and is started again: it says so at once, unless something is left to do."""

import json
import shutil

import numpy as np
import pytest

import impala_tf
from impala_tf.config import Config
from impala_tf.support import startup
from tests.support.runs import TINY, run

SETTINGS = TINY | dict(total_environment_frames=400, log_every_secs=0.05)


class Built(Exception):
    """The run goes on to import TensorFlow."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    logdir = tmp_path_factory.mktemp("finished")
    return logdir, run(logdir, total_environment_frames=400)


@pytest.fixture
def again(finished, tmp_path, monkeypatch):
    """A function that starts a copy of the run again, after a change of it."""

    def do_not_build(_):
        raise Built

    monkeypatch.setattr(startup, "import_tensorflow", do_not_build)
    shutil.copytree(finished[0], tmp_path / "run")

    def again(change=lambda logdir: None, **settings):
        change(tmp_path / "run")
        return impala_tf.train(Config(**(SETTINGS | settings), logdir=str(tmp_path / "run")))

    return again


def test_it_says_so_without_building(finished, again, capsys):
    summary, first = again(), finished[1]
    for name in ("environment_frames", "updates", "episodes", "seconds", "bottleneck"):
        assert getattr(summary, name) == getattr(first, name)
    np.testing.assert_equal(summary.mean_return, first.mean_return)  # It may be nan.
    assert "the run has used its 400 environment frames and is finished; a larger" in capsys.readouterr().err
    assert again(total_environment_frames=300).updates == first.updates


def counts(**changes):
    def change(logdir):
        content = json.loads((logdir / "summary.json").read_text())
        (logdir / "summary.json").write_text(json.dumps(content | changes))

    return change


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda logdir: None, dict(total_environment_frames=100_000)),
        (lambda logdir: None, dict(learning_rate=0.5)),
        (lambda logdir: None, dict(evaluate_every_frames=200)),
        (lambda logdir: (logdir / "summary.json").unlink(), {}),
        (lambda logdir: (logdir / "summary.json").write_text("{"), {}),
        (lambda logdir: (logdir / "summary.json").write_text("[]"), {}),
        (counts(updates=3), {}),
        (counts(environment_frames=10**6), {}),
        (counts(episodes="many"), {}),
        (lambda logdir: shutil.rmtree(logdir / "saved_model"), {}),
    ],
)
def test_it_goes_on_where_something_is_left_to_do(again, change, settings):
    with pytest.raises(Built):
        again(change, **settings)
