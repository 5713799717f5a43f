"""The learner's target network."""

import numpy as np

from tests.support.unrolls import make_batch, make_learner

IMPACT = dict(algorithm="impact", target_update_period=2, learning_rate=0.01, epsilon=1e-5, initial_mean_square=0.01)


def kl_of_update(learner, seed):
    result = learner.update(make_batch(seed), 10)
    return float(result.metrics[learner.metric_names.index("kl")])


def test_the_target_is_a_copy_of_the_weights_every_period():
    """The divergence between target and policy is 0 in the first update after a copy, and only there."""
    learner = make_learner(**IMPACT)
    divergences = [kl_of_update(learner, seed) for seed in range(5)]
    np.testing.assert_allclose(divergences[::2], 0, atol=1e-6)
    assert min(divergences[1::2]) > 1e-5


def test_a_resumed_learner_goes_on_with_its_target():
    learner, resumed = make_learner(**IMPACT), make_learner(**IMPACT, seed=2)
    kl_of_update(learner, seed=0)
    assert resumed.restore(learner.state()) == []
    expected = kl_of_update(learner, seed=1)
    assert expected > 1e-5
    np.testing.assert_allclose(kl_of_update(resumed, seed=1), expected, rtol=1e-5)


def test_a_checkpoint_without_a_target_gives_its_weights():
    """Such as one of a run with another algorithm."""
    learner, resumed = make_learner(), make_learner(**IMPACT, seed=2)
    learner.update(make_batch(), 10)
    resumed.restore(learner.state())
    assert abs(kl_of_update(resumed, seed=1)) < 1e-6
