"""The decisions of population based training, without a population."""

import math

import numpy as np
import pytest

from impala_tf.populations.history import Row
from impala_tf.populations.rules import Rules, decide, is_better, perturbed

RULES = Rules(burn_in_frames=100, margin=0.05, is_relative=False)


def row(member, score, frames=200, **hyperparameters):
    return Row(member, frames, 10, 50, score, score, 1.0, hyperparameters or {"learning_rate": 10.0**-member})


def decisions(own, others, rules=RULES, count=300):
    latest = {x.member: x for x in [own, *others]}
    return [decide(own, latest, rules, np.random.default_rng(i)) for i in range(count)]


def test_each_hyperparameter_changes_with_probability_33_percent_by_1_2_or_its_inverse():
    random = np.random.default_rng(0)
    found = [perturbed({"a": 1.0, "b": 10.0}, random) for _ in range(6000)]
    for name, value in (("a", 1.0), ("b", 10.0)):
        ratios = np.array([x[name] / value for x in found])
        shares = [np.isclose(ratios, factor, rtol=1e-5).mean() for factor in (1.0, 1.2, 1 / 1.2)]
        np.testing.assert_allclose(shares, [0.67, 0.165, 0.165], atol=0.02)
    both = np.mean([x["a"] != 1.0 and x["b"] != 10.0 for x in found])
    assert both == pytest.approx(0.33**2, abs=0.02), "they change independently"


def test_a_member_copies_another_that_is_better_by_more_than_the_margin():
    own = row(0, 0.40)
    made = decisions(own, [row(1, 0.46), row(2, 0.44)])
    assert {x.compared_with for x in made} == {1, 2}, "the other is random"
    assert {x.copied_from for x in made if x.compared_with == 1} == {1}
    assert {x.copied_from for x in made if x.compared_with == 2} == {None}
    assert 0.4 < np.mean([x.compared_with == 1 for x in made]) < 0.6
    for decision in made:
        start = 0.1 if decision.copied_from == 1 else 1.0
        assert min(abs(decision.hyperparameters["learning_rate"] / start - f) for f in (1, 1.2, 1 / 1.2)) < 1e-5
    assert len({x.hyperparameters["learning_rate"] for x in made}) == 6, "copied or not, they change"


def test_scores_of_the_burn_in_count_for_nobody():
    early = row(0, 0.1, frames=99)
    assert {tuple(x) for x in [d[:2] for d in decisions(early, [row(1, 0.9)])]} == {(None, None)}
    assert all(x.hyperparameters == early.hyperparameters for x in decisions(early, [row(1, 0.9)]))
    own = row(0, 0.1, frames=100)
    made = decisions(own, [row(1, 0.9, frames=99)])
    assert {x.compared_with for x in made} == {None}
    assert len({x.hyperparameters["learning_rate"] for x in made}) == 3


def test_a_member_without_a_score_copies_whoever_has_one():
    lost = row(0, -math.inf, frames=50)
    made = decisions(lost, [row(1, -30.0, frames=60), row(2, -math.inf)])
    assert {(x.compared_with, x.copied_from) for x in made} == {(1, 1)}
    assert {x.copied_from for x in decisions(lost, [row(2, -math.inf)])} == {None}


@pytest.mark.parametrize(
    ("other", "own", "absolute", "relative"),
    [
        (0.46, 0.40, True, True),
        (0.44, 0.40, False, True),
        (104.0, 100.0, True, False),
        (105.1, 100.0, True, False),
        (106.0, 100.0, True, True),
        (-20.0, -20.5, True, False),
        (-19.0, -20.5, True, True),
        (0.01, 0.0, False, True),
        (0.0, 0.0, False, False),
        (-5.0, -math.inf, True, True),
    ],
)
def test_the_margin_is_absolute_or_a_share_of_the_larger_score(other, own, absolute, relative):
    assert is_better(other, own, RULES) is absolute
    assert is_better(other, own, RULES._replace(is_relative=True)) is relative
