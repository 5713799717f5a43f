"""The table of algorithms."""

import pytest

from impala_tf.algorithms import make_algorithm
from impala_tf.algorithms.impala import Impala
from impala_tf.config import Config, SettingError


def test_the_default_has_the_settings_of_the_same_names():
    given = dict(
        discounting=0.5, reward_clipping="abs_one", bootstrap_at_time_limits=False, clip_rho_threshold=2.0,
        clip_c_threshold=1.5, clip_pg_rho_threshold=4.0, vtrace_lambda=0.75, normalise_advantages=True,
    )  # fmt: skip
    assert make_algorithm(Config(**given)) == Impala(**given)


def test_a_function_of_the_users_is_called_with_the_settings(tmp_path, monkeypatch):
    lines = "from types import SimpleNamespace\ndef make(config):\n"
    lines += "    return SimpleNamespace(loss=None, needs=None, metric_names=(), config=config)\n"
    (tmp_path / "own_algorithm.py").write_text(lines)
    monkeypatch.syspath_prepend(tmp_path)
    config = Config(algorithm="own_algorithm:make")
    assert make_algorithm(config).config is config
    with pytest.raises(SettingError, match=r"^--algorithm=own_algorithm:no_such_function: cannot be imported"):
        make_algorithm(Config(algorithm="own_algorithm:no_such_function"))
