"""Updates that are not finite: what went first is named, and nothing of them stays."""

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.learning import finite
from impala_tf.learning.gradients import GradientWorker
from impala_tf.learning.objective import Objective
from impala_tf.support.diverged import Diverged
from tests.support.unrolls import make_batch, make_learner

NAN = float("nan")
EVERYTHING = dict(
    normalise_observations=True,
    normalise_returns=True,
    optimizer="adam",
    learning_rate_schedule="constant",
    on_nonfinite="skip",
)


def with_rows(batch, **rows):
    return batch._replace(env_outputs=batch.env_outputs._replace(**rows))


def spoilt(leaf, value=NAN, row=2):
    """The leaf with one other value. Step 1, which leads to row 2, counts."""
    index = [0, row, *[0] * (leaf.shape.rank - 2)]
    return tf.tensor_scatter_nd_update(leaf, [index], [value])


def with_reward(batch, value):
    return with_rows(batch, reward=spoilt(batch.env_outputs.reward, value))


def spoil(variable):
    """Makes the variable's first number NaN."""
    content = variable.numpy()
    content.flat[0] = NAN
    variable.assign(content)


SPOILT_BATCHES = {
    "reward": lambda batch: with_reward(batch, NAN),
    "observation": lambda batch: with_rows(batch, observation=spoilt(batch.env_outputs.observation)),
    "ratio": lambda batch: batch._replace(behaviour_parameters=spoilt(batch.behaviour_parameters, row=1)),
    "value error": lambda batch: with_reward(batch, 1e38),  # Its square is infinite.
    "statistics of normalisation": lambda batch: with_rows(
        batch, discounted_return=spoilt(batch.env_outputs.discounted_return, 1e38)
    ),
}


@pytest.fixture
def gradient_factor(monkeypatch):
    """A variable by which all gradients are multiplied."""
    factor, plain = tf.Variable(1.0), Objective.evaluate

    def evaluate(self, *inputs):
        evaluated = plain(self, *inputs)
        return evaluated._replace(gradients=[factor * gradient for gradient in evaluated.gradients])

    monkeypatch.setattr(Objective, "evaluate", evaluate)
    return factor


@pytest.mark.parametrize("xla", ["off", "on"])
def test_what_went_first_is_named_and_nothing_of_the_update_stays(xla, gradient_factor):
    """Each of them between two updates that are finite."""
    learner = make_learner(xla=xla, **EVERYTHING)
    for name in [*SPOILT_BATCHES, "gradient", "weights", "statistics of normalisation"]:
        learner.update(make_batch(len(name)), 10)
        assert learner.skipped == ""
        before = learner.state()
        batch = SPOILT_BATCHES.get(name, lambda batch: batch)(make_batch(1))
        if name == "weights":
            spoil(learner.agent.variables[-1])
        if name not in {*SPOILT_BATCHES, "gradient", "weights"}:
            spoil(learner.agent.statistics[0])
        gradient_factor.assign(NAN if name == "gradient" else 1.0)
        result = learner.update(batch, 10)
        gradient_factor.assign(1.0)
        assert learner.skipped.startswith(f"is not finite: {name} went first; "), learner.skipped
        assert result.metrics is result.advantage_tm1 is None
        after = learner.state()
        assert int(after.pop("updates")) == int(before.pop("updates")) + 1
        assert int(after.pop("environment_frames")) == int(before.pop("environment_frames")) + 10
        for key, array in before.items():
            np.testing.assert_array_equal(after[key], array, err_msg=f"{name}: {key}")
        np.testing.assert_array_equal(result.flat_weights, learner.agent.flat_weights())


def test_ten_in_a_row_end_the_run():
    learner = make_learner(on_nonfinite="skip")
    for i in range(2 * finite.MAX_SKIPPED):
        learner.update(with_reward(make_batch(i), NAN if i % finite.MAX_SKIPPED else 0.0), 10)
    before = learner.agent.flat_weights().numpy()
    assert np.isfinite(before).all()
    with pytest.raises(Diverged, match=r"^update 21, as the 9 before it, is not finite: reward went first; "):
        learner.update(with_reward(make_batch(0), NAN), 10)
    assert learner.has_diverged
    np.testing.assert_array_equal(learner.agent.flat_weights(), before)


def test_popart_is_taken_back():
    learner = make_learner(popart=True, on_nonfinite="skip")
    learner.update(make_batch(0), 10)
    before = learner.agent.flat_weights().numpy()
    for value, name in ((NAN, "reward"), (1e38, "value error")):
        learner.update(with_reward(make_batch(1), value), 10)
        assert learner.skipped.startswith(f"is not finite: {name} went first")
        np.testing.assert_array_equal(learner.agent.flat_weights(), before)
    spoil(learner.agent.statistics[0])
    learner.update(make_batch(1), 10)
    assert "statistics of normalisation went first" in learner.skipped


def test_a3cs_gradients_tell_what_was_wrong_in_their_batch():
    learner = make_learner(on_nonfinite="skip")
    worker = GradientWorker(learner.objective, xla=False)
    for name in ("reward", "observation", "ratio"):
        batch = SPOILT_BATCHES[name](make_batch(1))
        learner.apply(*worker.gradients(batch, learner.hyperparameters), 10)
        assert f"{name} went first" in learner.skipped
    finite_gradients = worker.gradients(make_batch(1), learner.hyperparameters)
    spoil(learner.agent.variables[0])
    learner.apply(*finite_gradients, 10)
    assert "weights went first" in learner.skipped
    learner.apply(*finite_gradients, 10)
    assert learner.skipped == ""
    assert (learner.updates, learner.num_skipped) == (5, 4)


@pytest.mark.parametrize(
    ("metrics", "settings", "name"),
    [
        (dict(total=NAN, entropy=NAN), {}, "loss (entropy)"),
        (dict(total=np.inf, ratio_max=np.inf, ratio_mean=np.inf, baseline=np.inf), {}, "value error"),
        (dict(total=np.inf, ratio_max=np.inf, baseline=np.inf), dict(clip_rho_threshold=np.inf), "ratio"),
        (dict(gradient_norm=NAN, ratio_max=np.inf), dict(algorithm="ppo"), "ratio"),
        (dict(gradient_norm=np.inf, ratio_max=np.inf), {}, "gradient"),
        ({}, {}, "step to the new weights"),
    ],
)
def test_what_went_first_by_the_metrics(metrics, settings, name):
    outcome = finite.Outcome(np.zeros([1, len(finite.PLACES)]), dict(total=0.0) | metrics, np.ones(2), np.ones(0))
    assert finite.what_went_first(outcome, Config(**settings)).startswith(f"{name} went first; a lower --learning_rate")


def test_the_learner_whose_batch_was_spoilt_is_named():
    places = np.zeros([3, len(finite.PLACES)])
    places[2, finite.PLACES.index("reward")] = 1
    outcome = finite.Outcome(places, dict(total=NAN), np.ones(2), np.ones(0))
    assert finite.what_went_first(outcome, Config()).startswith("reward of learner 2 went first; ")


def test_a_run_does_not_begin_with_weights_that_are_not_finite():
    learner = make_learner()
    finite.check_weights(learner.agent)
    spoil(learner.agent.variables[0])
    with pytest.raises(Diverged, match=r"^before the first update .*torso.* is not finite; the network's initial"):
        finite.check_weights(learner.agent)
