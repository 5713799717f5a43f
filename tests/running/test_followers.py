"""Learners that are not the chief: their settings, seeds and records."""

import pathlib
from types import SimpleNamespace

import pytest

import impala_tf
from impala_tf.config import Config, SettingError, to_flag_lines
from impala_tf.running import followers

HOSTS = dict(learner_hosts="a:1,b:2")


def with_chief(config):
    """What learner 1 sees of a chief with these settings."""
    content = "\n".join(to_flag_lines(config)).encode()
    return SimpleNamespace(index=1, size=2, from_chief=lambda own: content)


def test_settings_that_all_must_share_are_those_of_the_chief():
    chief = Config(**HOSTS, num_actors=4, log_every_secs=1.0, batch_size=32)
    followers.check_settings(Config(**HOSTS, learner_index=1, num_actors=2, log_every_secs=9.0), with_chief(chief))
    for other in (dict(batch_size=16), dict(learning_rate=0.1), dict(core="lstm")):
        with pytest.raises(
            SettingError, match=f"--learner_index=1: the chief has other settings: --{next(iter(other))}="
        ):
            followers.check_settings(Config(**HOSTS, learner_index=1, **other), with_chief(chief))


def test_a_setting_that_this_version_does_not_know_is_another_one():
    learners = SimpleNamespace(index=1, size=2, from_chief=lambda own: own + b"\n--newer=1")
    with pytest.raises(SettingError, match="--newer=1"):
        followers.check_settings(Config(**HOSTS, learner_index=1), learners)


def test_who_starts_no_learners_refuses_them():
    """Populations and benchmarks, and impala_tf.train."""
    message = "--num_learners=2: only python -m impala_tf.experiment starts learners"
    with pytest.raises(SettingError, match=message):
        followers.check_settings(Config(num_learners=2), SimpleNamespace(index=0, size=1))
    with pytest.raises(SettingError, match=message):
        impala_tf.train(Config(num_learners=2))


def test_each_learner_draws_other_seeds_also_when_it_goes_on():
    config = Config(seed=3)
    drawn = [
        followers.random_of(config, SimpleNamespace(index=index), updates).integers(2**31)
        for index, updates in ((0, 0), (1, 0), (2, 0), (1, 100))
    ]
    assert len(set(drawn)) == 4
    assert drawn[1] == followers.random_of(config, SimpleNamespace(index=1), 0).integers(2**31)


def test_only_the_chief_keeps_records():
    config = Config(**HOSTS, logdir="runs/x", evaluate_every_frames=5, checkpoint_every_updates=7)
    with followers.own_records(config) as chief:
        assert chief is config
    with followers.own_records(Config(**HOSTS, learner_index=1, logdir="runs/x", profile=True)) as other:
        directory = pathlib.Path(other.logdir)
        assert directory.is_dir()
        assert directory != pathlib.Path("runs/x")
        assert (other.checkpoint_every_secs, other.evaluate_every_frames, other.profile) == (0, 0, False)
    assert not directory.exists()
