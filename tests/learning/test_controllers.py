"""The entropy cost: its schedule, and its controller, which holds the policy's entropy at a target."""

import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.learning import controllers
from impala_tf.learning.controllers import (
    MAX_ENTROPY_COST,
    MAX_KL_COST,
    MIN_ENTROPY_COST,
    MIN_KL_COST,
    TargetEntropy,
    TargetKl,
    adapt,
)
from impala_tf.learning.optimizers import hyperparameters_of, scheduled
from tests.support.unrolls import make_batch, make_learner


def test_the_cost_grows_below_the_target_and_falls_above_it():
    controller = TargetEntropy(target=0.5, step=0.1)
    assert controller.next_value(0.01, 0.3) == pytest.approx(0.01 * np.exp(0.1 * 0.2))
    assert controller.next_value(0.01, 0.9) == pytest.approx(0.01 * np.exp(-0.1 * 0.4))
    assert controller.next_value(0.01, 0.5) == 0.01
    assert controller.next_value(0.01, -50.0) == pytest.approx(0.01 * np.exp(0.1)), "one update changes little"


def test_the_cost_stays_in_its_bounds_and_leaves_zero():
    controller = TargetEntropy(target=0.5, step=10.0)
    assert controller.next_value(0.9, 0.0) == MAX_ENTROPY_COST
    assert controller.next_value(2e-6, 1.0) == MIN_ENTROPY_COST
    assert controller.next_value(0.0, 0.0) == MIN_ENTROPY_COST


def test_a_policy_whose_entropy_follows_the_cost_ends_at_the_target():
    """Entropy as a slow function of the cost: the controller finds the cost that gives the target."""
    controller, cost, entropy = TargetEntropy(target=0.4, step=0.05), 1e-3, 0.05
    for _ in range(3000):
        cost = controller.next_value(cost, entropy)
        entropy += 0.1 * (0.7 * cost / (cost + 0.01) - entropy)
    assert entropy == pytest.approx(0.4, abs=0.01)


def test_a_controller_changes_only_what_it_controls():
    before = hyperparameters_of(make_learner()._config)
    after = adapt([TargetEntropy(0.5, 0.1)], before, {"mean_entropy": 0.2, "total": 7.0})
    assert after.entropy_cost > before.entropy_cost
    assert after._replace(entropy_cost=before.entropy_cost) == before


def test_the_learner_controls_the_entropy_cost_and_goes_on_from_a_checkpoint():
    settings = dict(target_entropy=5.0, target_entropy_step=0.5, entropy_cost=0.01)  # 5 nats are out of reach.
    learner = make_learner(**settings)
    costs = [learner.update(make_batch(seed), 10).metrics.numpy()[-1] for seed in range(3)]
    np.testing.assert_allclose(costs, 0.01 * np.exp([0, 0.5, 1.0]), rtol=1e-5)
    assert learner.metric_names[-1] == "entropy_cost"
    state = learner.state()
    other = make_learner(**settings)
    assert other.restore(state) == []
    assert other.hyperparameters == learner.hyperparameters
    free = make_learner(entropy_cost=0.25)
    free.restore(state)
    assert free.hyperparameters.entropy_cost == 0.25, "without the controller the setting counts"
    assert "hyperparameters/entropy_cost" not in free.state()


def test_the_entropy_cost_goes_linearly_to_its_end():
    learner = make_learner(
        entropy_cost=0.5, entropy_cost_end_factor=0.2, schedule_frames=40, learning_rate_schedule="constant"
    )
    costs = [learner.update(make_batch(0), 10).metrics.numpy()[-1] for _ in range(6)]
    np.testing.assert_allclose(costs, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], rtol=1e-5)
    assert learner.hyperparameters.entropy_cost == 0.5
    assert scheduled(learner.hyperparameters, learner._config, 20, 2).entropy_cost == pytest.approx(0.3)


def test_an_algorithm_without_the_metric_is_refused():
    config = make_learner(target_entropy=0.5)._config
    with pytest.raises(SettingError, match=r"^--target_entropy=0\.5: needs the metric mean_entropy") as error:
        controllers.make_controllers(config, ("total",))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("cost", "measured", "following"),
    [
        (1.0, 0.09, 1.5), (1.0, 0.079, 1.0), (1.0, 0.021, 1.0), (1.0, 0.019, 0.5), (0.0, 0.001, 0.0),
        (MAX_KL_COST, 1.0, MAX_KL_COST), (MIN_KL_COST, 0.0, MIN_KL_COST),
    ],
)  # fmt: skip
def test_the_cost_of_the_divergence_is_adapted_outside_of_half_and_twice_the_target(cost, measured, following):
    assert TargetKl(target=0.04).next_value(cost, measured) == following


def test_the_teachers_cost_falls_with_every_update():
    config = Config(teacher_cost=0.5, teacher_cost_decay=0.9)
    costs = [scheduled(hyperparameters_of(config), config, 0, updates).costs.teacher for updates in (0, 1, 3)]
    np.testing.assert_allclose(costs, [0.5, 0.45, 0.5 * 0.9**3])
