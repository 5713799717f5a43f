"""The learner's state by name, and states of the version before by position."""

import pathlib

import keras
import numpy as np
import pytest

from impala_tf.learning import state
from tests.support.unrolls import make_batch, make_learner


def of_format_1(optimizer):
    """The optimizer's variables, of which epsilon was none yet."""
    return [v for v in optimizer.variables if v.name != "epsilon"]


def by_name(learner):
    return learner.state()


def by_position(learner):
    """The learner's state as the version before named it (format 1)."""
    agent, optimizer = learner.agent, learner.optimizer
    arrays = {f"weights/{i}": v.numpy() for i, v in enumerate(agent.variables)}
    arrays |= {f"statistics/{i}": v.numpy() for i, v in enumerate(agent.statistics)}
    arrays |= {f"optimizer/{i}": v.numpy() for i, v in enumerate(of_format_1(optimizer))}
    return arrays | {
        "updates": np.int64(learner.updates),
        "environment_frames": np.int64(learner.environment_frames),
    }


def trained(**settings):
    learner = make_learner(**settings)
    for seed in range(3):
        learner.update(make_batch(seed, learner.agent.state_size), 10)
    return learner


SETTINGS = [
    {},
    {"momentum": 0.9},
    {"core": "lstm", "core_size": 4, "momentum": 0.9, "normalise_observations": True, "normalise_returns": True},
]
# Format 1 knew no optimizer but RMSProp.
SAVED = [
    (by_name, {"optimizer": "adam"}),
    *((save, settings) for save in (by_name, by_position) for settings in SETTINGS),
]


@pytest.mark.parametrize(("save", "settings"), SAVED)
def test_restored_it_goes_on_exactly(settings, save):
    learner, other = trained(**settings), make_learner(**settings, seed=2)
    assert other.restore(save(learner)) == []
    assert (other.updates, other.environment_frames) == (3, 30)
    for seed in (3, 4):
        batch = make_batch(seed, learner.agent.state_size)
        expected, got = learner.update(batch, 10), other.update(batch, 10)
        np.testing.assert_array_equal(got.flat_weights, expected.flat_weights)
        np.testing.assert_array_equal(got.metrics, expected.metrics)
    assert other.learning_rate == learner.learning_rate


def test_names_do_not_depend_on_what_was_made_before():
    """Keras counts layers over the whole process; a name must be the same in the next one."""
    first, second = make_learner(), make_learner()
    assert first.agent.keras_variables[0].path != second.agent.keras_variables[0].path
    assert list(first.state()) == list(second.state())
    assert "weights/mlp_torso/dense/kernel.0" in first.state()
    assert "optimizer/velocity/mlp_torso/dense/kernel.0" in first.state()


class TwoOfOneName(keras.layers.Layer):
    """A torso whose two layers have the same name, and so the same path."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (keras.layers.Dense(2, name="dense", kernel_initializer="ones") for _ in range(2))

    def call(self, x):
        return self.second(self.first(x))


def test_layers_of_the_same_name_keep_their_optimizers_variables():
    def make():
        return make_learner(make_torso=lambda space: TwoOfOneName(), momentum=0.9)

    learner, other = make(), make()
    for seed in range(3):
        learner.update(make_batch(seed), 10)
    other.restore(learner.state())
    for ours, theirs in zip(learner.optimizer.variables, other.optimizer.variables, strict=True):
        if ours.name.endswith(state.ROLES):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


def test_another_momentum_is_said():
    """Momentum that the checkpoint lacks starts at zero; momentum that nobody wants any more is left aside."""
    plain, with_momentum = trained(), trained(momentum=0.9)
    (note,) = make_learner(momentum=0.9).restore(plain.state())
    assert note == "the checkpoint has no momentum of the optimizer; it starts anew"
    other = make_learner()
    (note,) = other.restore(with_momentum.state())
    assert note == "the optimizer's momentum in the checkpoint is not used"
    np.testing.assert_array_equal(other.agent.flat_weights(), with_momentum.agent.flat_weights())
    (note,) = make_learner(momentum=0.9).restore(by_position(plain))
    assert "no momentum" in note


@pytest.mark.parametrize("save", [by_name, by_position])
def test_another_optimizers_state_starts_anew(save):
    learner, adam = trained(), make_learner(optimizer="adam")
    assert adam.restore(save(learner)) == ["the checkpoint has the state of rmsprop; that of adam starts anew"]
    np.testing.assert_array_equal(adam.agent.flat_weights(), learner.agent.flat_weights())
    for ours, fresh in zip(adam.optimizer.variables, make_learner(optimizer="adam").optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), fresh.numpy())


def test_adamw_goes_on_where_adam_was():
    learner, other = trained(optimizer="adam"), make_learner(optimizer="adamw", seed=2)
    assert other.restore(learner.state()) == []
    a, b = learner.update(make_batch(3), 10), other.update(make_batch(3), 10)
    np.testing.assert_array_equal(a.flat_weights, b.flat_weights)
    (note,) = make_learner().restore(learner.state())
    assert note == "the checkpoint has the state of adam; that of rmsprop starts anew"


@pytest.mark.parametrize("save", [by_name, by_position])
@pytest.mark.parametrize(
    ("saved", "given"),
    [
        ({"hidden_sizes": (8, 8)}, {"hidden_sizes": (8,)}),
        ({"hidden_sizes": (8,)}, {"hidden_sizes": (8, 8)}),
        ({"hidden_sizes": (8,)}, {"hidden_sizes": (9,)}),
        ({}, {"normalise_returns": True}),
        ({"normalise_returns": True}, {}),
    ],
)
def test_another_network_is_refused(saved, given, save):
    arrays = save(make_learner(**saved))
    with pytest.raises((KeyError, ValueError)):
        make_learner(**given).restore(arrays)


def test_the_order_of_an_optimizers_variables_is_still_that_of_format_1():
    """Positions 0 and 1: updates and learning rate; then a velocity for each weight, then a momentum for each."""
    learner = make_learner(momentum=0.9)
    names = [pathlib.PurePath(v.path).name.rpartition("_")[2] for v in of_format_1(learner.optimizer)]
    num = len(learner.agent.keras_variables)
    assert names[2:] == ["velocity"] * num + ["momentum"] * num
    assert state.ROLES == ("velocity", "momentum")
