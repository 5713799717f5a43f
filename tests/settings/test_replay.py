"""Numbers that follow from the settings of replay."""

import pytest

from impala_tf.config import Config
from impala_tf.settings.replay import importance_exponent, num_replayed


def test_a_fraction_of_a_batch_is_replayed():
    assert num_replayed(Config()) == 0
    assert num_replayed(Config(batch_size=32, replay_fraction=0.875)) == 28
    assert num_replayed(Config(batch_size=3, replay_fraction=0.3333)) == 1


def test_the_importance_exponent_rises_to_1_at_the_end_of_the_budget():
    config = Config(replay_importance_exponent=0.2, total_environment_frames=1000)
    exponents = [importance_exponent(config, frames) for frames in (0, 250, 1000, 2000)]
    assert exponents == pytest.approx([0.2, 0.4, 1.0, 1.0])
