"""--vary says which settings differ between members, and where they start."""

import numpy as np
import pytest

from impala_tf.config import Config, SettingError
from impala_tf.populations.options import Options, completed, within_settings
from impala_tf.populations.ranges import PAPER, Range, parse, start_values


def test_the_papers_ranges_are_log_uniform_or_one_of_four():
    rate, cost, epsilon = parse(PAPER)
    assert (rate, cost) == (Range("learning_rate", 5e-6, 5e-3), Range("entropy_cost", 5e-5, 1e-2))
    assert epsilon == Range("epsilon", choices=(1e-1, 1e-3, 1e-5, 1e-7))
    assert ",".join(item.text() for item in parse(PAPER)) == (
        "learning_rate:5e-06:0.005,entropy_cost:5e-05:0.01,epsilon:0.1/0.001/1e-05/1e-07"
    )
    drawn = [start_values(parse(PAPER), seed=1, member=i) for i in range(400)]
    rates = np.array([values["learning_rate"] for values in drawn])
    assert rates.min() >= 5e-6
    assert rates.max() <= 5e-3
    # Log-uniform: a third of the values in each factor of ten.
    np.testing.assert_allclose(np.histogram(np.log10(rates / 5e-6), [0, 1, 2, 3])[0] / 400, 1 / 3, atol=0.08)
    shares = [sum(values["epsilon"] == x for values in drawn) / 400 for x in epsilon.choices]
    np.testing.assert_allclose(shares, 1 / 4, atol=0.08)
    assert start_values(parse(PAPER), 1, 7) == drawn[7]
    assert start_values(parse(PAPER), 2, 7) != drawn[7]


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("", "'' cannot be read; give NAME:LOW:HIGH"),
        ("learning_rate", "'learning_rate' cannot be read"),
        ("learning_rate:1e-3:fast", "cannot be read"),
        ("learning_rate:1:2:3", "cannot be read"),
        ("learning_rate:1e-3:1e-3", "must have 0 < LOW < HIGH"),
        ("learning_rate:0:1e-3", "must have 0 < LOW < HIGH"),
        ("learning_rate:nan:1e-3", "must have 0 < LOW < HIGH"),
        ("epsilon:1e-3/1e-2,epsilon:1/2", "names a setting twice"),
        ("speed:1:2", "there is no setting speed"),
        ("hidden_sizes:1:2", "must be a setting that is a number with a fraction"),
        ("batch_size:1:2", "must be a setting that is a number with a fraction"),
        ("action_scale_init:0.1:1", "weights fit only networks with the same action_scale_init"),
        ("discounting:0.5:2", "--discounting=2.0: must be"),
        ("learning_rate:1e-3/-1", "--learning_rate=-1.0: must be above 0"),
    ],
)
def test_a_mistake_in_vary_is_answered_in_one_line(vary, message):
    with pytest.raises(SettingError, match=f"^--vary={vary[:10]}.*{message}") as error:
        completed(Options(4, "population", parse(vary)), Config())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        (dict(population=1), {}, "--population=1: members compare with others; give at least 2"),
        (dict(score="capped"), {}, "--score=capped: CartPole-v1 has no reference scores; give --score=return"),
        ({}, dict(evaluate_every_frames=10), "--evaluate_every_frames=10: is for a single run"),
        ({}, dict(actor_backend="ray"), "--actor_backend=ray: a member has its actors in its own process"),
        ({}, dict(target_entropy=0.5), "--vary=entropy_cost:5e-05:0.01: --target_entropy sets entropy_cost"),
    ],
)
def test_contradicting_options_are_refused(options, settings, message):
    with pytest.raises(SettingError, match=message):
        completed(
            Options(**(dict(population=4, scheduler="population", ranges=parse(PAPER)) | options)), Config(**settings)
        )


def test_what_was_not_chosen_follows_from_the_budget_and_the_tasks():
    options = Options(4, "population", parse(PAPER))
    small = completed(options, Config(total_environment_frames=1_000_000))
    assert (small.burn_in_frames, small.interval_frames, small.score) == (100_000, 50_000, "return")
    papers = completed(options, Config(env_id="dmlab30", total_environment_frames=10**10))
    assert (papers.burn_in_frames, papers.interval_frames, papers.score) == (20_000_000, 500_000_000, "capped")
    chosen = completed(options._replace(burn_in_frames=5, interval_frames=7, score="return"), Config(env_id="minatar5"))
    assert (chosen.burn_in_frames, chosen.interval_frames, chosen.score) == (5, 7, "return")


def test_a_value_that_the_settings_refuse_stays_as_it_was():
    config = Config(discounting=0.99)
    new = within_settings(
        config, dict(discounting=1.188, learning_rate=2e-3), dict(discounting=0.99, learning_rate=1e-3)
    )
    assert new == dict(discounting=0.99, learning_rate=2e-3)
