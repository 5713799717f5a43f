"""What a network takes of another's weights: by part, name and shape, also between one trunk and two."""

import gymnasium as gym
import numpy as np
import pytest

from impala_tf.config import Config
from impala_tf.networks import make_agent
from impala_tf.networks.parts import belongs_to, take

ALL = ("torso", "core", "heads")
OBSERVATION = gym.spaces.Box(-1, 1, (3,), np.float32)
FRAMES = gym.spaces.Box(0, 255, (84, 84, 1), np.uint8)
LSTM = dict(core="lstm", core_size=4)
SHARED = dict(separate_value_network=False)


def agent(observation=OBSERVATION, actions=2, seed=1, **settings):
    config = Config(**(dict(hidden_sizes=(5, 5)) | settings), seed=seed)
    return make_agent(config, observation, gym.spaces.Discrete(actions))


def values(agent):
    return {name: variable.numpy() for name, variable in agent.variables_by_part().items()}


def source(**settings):
    """An agent's arrays, all different: no weight is 0 as a bias is at the start."""
    random = np.random.default_rng(3)
    return {name: random.normal(size=x.shape).astype(np.float32) for name, x in values(agent(**settings)).items()}


def taken_by(agent, arrays, parts=ALL):
    """(the result of `take`, names of the variables that changed)."""
    before = values(agent)
    taken = take(agent.variables_by_part(), arrays, parts)
    return taken, {name for name, value in values(agent).items() if np.any(value != before[name])}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        LSTM | SHARED,
        LSTM,
        dict(normalise_observations=True, normalise_returns=True),
        dict(observation=FRAMES, network="shallow", centre_frames=True),
        dict(observation=gym.spaces.Dict(a=OBSERVATION, b=FRAMES), centre_frames=True, normalise_observations=True),
    ],
    ids=str,
)
def test_the_same_network_takes_everything(settings):
    arrays, other = source(**settings), agent(**settings, seed=2)
    assert sum(x.size for x in arrays.values()) == len(other.flat_weights())
    taken, changed = taken_by(other, arrays)
    assert set(taken.fitted) == set(arrays) == changed
    assert (taken.others, taken.missing, taken.unused) == ([], [], [])
    assert taken.in_words() == f"{len(arrays)} of {len(arrays)} weights and statistics were taken"
    # The order is that in which weights are published and saved.
    np.testing.assert_array_equal(other.flat_weights(), np.concatenate([x.ravel() for x in arrays.values()]))


@pytest.mark.parametrize("part", ALL)
def test_only_the_parts_that_are_named_are_taken(part):
    settings = LSTM | dict(normalise_observations=True, normalise_returns=True)
    taken, changed = taken_by(agent(**settings), source(**settings), [part])
    first_names = {name.partition("/")[0] for name in changed}
    assert (
        first_names
        == {
            "torso": {"torso", "value_torso", "observations"},
            "core": {"core", "value_core"},
            "heads": {"policy_head", "baseline_head", "returns"},
        }[part]
    )
    assert set(taken.fitted) == changed
    assert taken.missing == taken.unused == []


def test_other_shapes_are_said():
    taken, changed = taken_by(agent(actions=3), source())
    assert changed == {name for name in source() if not name.startswith("policy_head")}
    assert taken.others == [
        "policy_head/dense/kernel.0 [5, 3] (there [5, 2])",
        "policy_head/dense/bias.0 [3] (there [2])",
    ]
    assert taken.in_words().endswith(
        "10 of 12 weights and statistics were taken; of another shape: " + ", ".join(taken.others)
    )


def test_layers_of_another_depth_do_not_get_the_other_trunks_weights():
    """By names alone, the third layer would take the first of the baseline's torso, whose bias has the same shape."""
    deeper = agent(hidden_sizes=(5, 5, 5))
    taken, changed = taken_by(deeper, source())
    assert {"torso/mlp_torso/dense/kernel.2", "value_torso/mlp_torso/dense/bias.2"} <= set(taken.missing)
    assert not [name for name in changed if name.endswith(".2")]
    assert len(changed) == 12


def test_two_trunks_take_the_one_of_a_shared_network():
    arrays = source(**SHARED, **LSTM)
    both = agent(**LSTM)
    taken, changed = taken_by(both, arrays)
    assert set(taken.fitted) == changed == set(values(both))
    assert taken.unused == []
    for name, value in values(both).items():
        np.testing.assert_array_equal(value, arrays[name.removeprefix("value_")])


def test_a_shared_network_takes_the_policys_trunk_and_not_the_baselines_head():
    """That head reads the features of the other trunk, so its weights would mean nothing."""
    arrays = source(**LSTM)
    shared = agent(**SHARED, **LSTM)
    taken, changed = taken_by(shared, arrays)
    assert changed == {name for name in values(shared) if not name.startswith("baseline_head")}
    assert set(taken.missing) == {"baseline_head/dense/kernel.0", "baseline_head/dense/bias.0"}
    assert {name.partition("/")[0] for name in taken.unused} == {"value_torso", "value_core", "baseline_head"}
    assert "there but not used: " in taken.in_words()
    assert " and 6 more" in taken.in_words()


def test_every_variable_belongs_to_one_part():
    names = values(agent(observation=gym.spaces.Tuple([OBSERVATION, FRAMES]), centre_frames=True, **LSTM,
                         normalise_observations=True, normalise_returns=True))  # fmt: skip
    assert all(sum(belongs_to(name, [part]) for part in ALL) == 1 for name in names)
