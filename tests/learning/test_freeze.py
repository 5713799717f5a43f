"""Frozen parts of the network stay as they are to the last bit, while the others learn."""

import numpy as np
import pytest

from impala_tf.learning.gradients import GradientWorker
from tests.support.unrolls import make_batch, make_learner

SETTINGS = dict(core="gru", core_size=4, hidden_sizes=(5,), momentum=0.9, normalise_observations=True)
PARTS = {"torso": ("torso", "value_torso"), "core": ("core", "value_core"), "heads": ("policy_head", "baseline_head")}


def values(learner):
    return {name: variable.numpy() for name, variable in learner.agent.variables_by_part().items()}


def moved(before, after):
    """The parts of which every variable has moved, and those of which any has."""
    names = {name.partition("/")[0] for name in before}
    differ = {
        part: [np.any(before[name] != after[name]) for name in before if name.partition("/")[0] == part]
        for part in names
    }
    return {part for part in names if all(differ[part])}, {part for part in names if any(differ[part])}


ADAMW = dict(optimizer="adamw", weight_decay=0.1)


@pytest.mark.parametrize(
    ("frozen", "optimizer"), [(["torso"], {}), (["core"], ADAMW), (["heads"], {}), (["torso", "core"], ADAMW)], ids=str
)
def test_frozen_parts_do_not_move_and_the_others_do(frozen, optimizer):
    """Weight decay alone would move them."""
    learner = make_learner(freeze=",".join(frozen), **SETTINGS, **optimizer)
    before, velocities = values(learner), dict(learner.state())
    for seed in range(3):
        learner.update(make_batch(seed, learner.agent.state_size), 10)
    all_of, any_of = moved(before, values(learner))
    learning = {name for part in PARTS if part not in frozen for name in PARTS[part]}
    assert all_of == any_of == learning | {"observations"}
    untouched = [
        name for name, x in learner.state().items() if name.startswith("optimizer/") and np.all(x == velocities[name])
    ]
    weights = [name for name in before if not name.startswith("observations")]
    frozen_names = [name for name in weights if name.partition("/")[0] not in learning]
    assert len(untouched) == 2 * len(frozen_names), "two variables for each frozen weight"
    assert len(learner.agent.learning_variables) == len(weights) - len(frozen_names)


def test_a_run_goes_on_with_other_parts_frozen():
    """The optimizer has variables for all weights, so a checkpoint does not depend on --freeze."""
    frozen, free = make_learner(freeze="torso", **SETTINGS), make_learner(seed=2, **SETTINGS)
    frozen.update(make_batch(0, frozen.agent.state_size), 10)
    assert free.restore(frozen.state()) == []
    before = values(free)
    free.update(make_batch(1, free.agent.state_size), 10)
    assert "torso" in moved(before, values(free))[0]


def test_a3cs_workers_have_no_gradients_of_frozen_parts():
    learner = make_learner(freeze="torso", hidden_sizes=(5,))
    worker = GradientWorker(learner.objective.of(make_learner(freeze="torso", hidden_sizes=(5,)).agent), xla=False)
    computed = worker.gradients(make_batch(), learner.hyperparameters)
    assert len(computed[-1]) == 4
    before = values(learner)
    learner.apply(*computed, 10)
    assert moved(before, values(learner)) == ({"policy_head", "baseline_head"},) * 2
