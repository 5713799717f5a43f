"""The schedules: factors of the learning rate and the entropy cost after some frames."""

import numpy as np
import pytest

from impala_tf.config import Config, learning_rate_change, to_flag_lines
from impala_tf.settings.learning import entropy_cost_factor, learning_rate_factor

FRAMES = [0, 25, 50, 75, 100, 150]


@pytest.mark.parametrize(
    ("settings", "factors"),
    [
        ({}, [1, 0.75, 0.5, 0.25, 0, 0]),
        (dict(schedule_frames=50), [1, 0.5, 0, 0, 0, 0]),
        (dict(schedule_frames=200), [1, 0.875, 0.75, 0.625, 0.5, 0.25]),
        (dict(warmup_frames=50), [0, 0.5, 1, 0.5, 0, 0]),
        (dict(learning_rate_schedule="constant"), [1] * 6),
        (dict(learning_rate_schedule="constant", warmup_frames=50), [0, 0.5, 1, 1, 1, 1]),
        (dict(learning_rate_schedule="cosine"), [*(0.5 * (1 + np.cos(np.pi * np.arange(5) / 4))), 0]),
        (dict(learning_rate_schedule="cosine", warmup_frames=20, schedule_frames=60), [0, 0.962, 0.146, 0, 0, 0]),
    ],
    ids=str,
)
def test_the_learning_rate_follows_its_schedule(settings, factors):
    config = Config(total_environment_frames=100, **settings)
    np.testing.assert_allclose([learning_rate_factor(config, x) for x in FRAMES], factors, atol=5e-4)


def test_the_default_is_the_papers_to_the_last_bit():
    config = Config()
    for frames in range(0, 2_000_000, 12_345):
        assert learning_rate_factor(config, frames) == max(0.0, 1.0 - frames / 1_000_000)
        assert config.entropy_cost * entropy_cost_factor(config, frames) == config.entropy_cost


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (dict(schedule_frames=200), "the learning rate at 50 frames is 0.75 instead of 0.5"),
        (dict(learning_rate_schedule="constant"), "the learning rate at 50 frames is 1 instead of 0.5"),
        (dict(warmup_frames=60), "the learning rate at 50 frames is 0.8333 instead of 0.5"),
        (dict(schedule_frames=100, total_environment_frames=1000), ""),
    ],
    ids=str,
)
def test_a_resumed_run_says_what_a_changed_schedule_does(settings, text):
    base = dict(learning_rate=1.0, total_environment_frames=100)
    assert learning_rate_change(Config(**base | settings), to_flag_lines(Config(**base)), 50) == text
    edited = ["--learning_rate_schedule=nonsense", "--total_environment_frames=0"]
    assert learning_rate_change(Config(**base | settings), edited, 50) == ""
