"""Vectors that go back to where another one was."""

import numpy as np
import pytest

from impala_tf.config import SettingError
from impala_tf.spaces.action_spaces import travelling_spec
from impala_tf.spaces.observation_spaces import named_arrays
from impala_tf.types import EnvOutput
from tests.support.environments import COUNTING, TESTS
from tests.support.vectors import make_vector

B = 3
ATARI = dict(env_id="ALE/Breakout-v5", num_action_repeats=4, life_loss_ends_episode=True, sticky_actions=0.25)


def vector_of(env_id, **settings):
    exact = dict(exact_resume=True, architecture="a2c_sync_step", batch_size=256)
    return make_vector(env_id, B, seed=7, actor=2, **exact, **settings)


def actions_of(environment, num_steps):
    """Actions as they travel, the same for each vector of the kind: 0 and 1 at random."""
    spec = travelling_spec(environment.action_space)
    return np.random.default_rng(1).integers(2, size=(num_steps, B, *spec.shape)).astype(spec.dtype)


def assert_equal(row, other):
    for name, leaf in row._asdict().items():
        for (part, a), (_, b) in zip(named_arrays(leaf), named_arrays(getattr(other, name)), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {part}")


def saved(leaf):
    """A row, or a leaf of it, as it comes out of a file: texts are bytes of a fixed length."""
    if isinstance(leaf, np.ndarray):
        return leaf.astype(np.bytes_) if leaf.dtype == object else leaf
    if isinstance(leaf, dict):
        return {name: saved(part) for name, part in leaf.items()}
    return type(leaf)(*map(saved, leaf)) if isinstance(leaf, EnvOutput) else tuple(map(saved, leaf))


@pytest.mark.parametrize(
    ("settings", "num_steps", "num_points"),
    [
        (dict(env_id="CartPole-v1"), 70, 5),
        (dict(env_id="Pendulum-v1", max_episode_frames=30), 70, 5),
        (dict(env_id=f"{TESTS}Nested-v0"), 9, 5),
        (dict(env_id=f"{TESTS}Target-dict-v0"), 8, 5),
        (dict(env_id="MinAtar/Breakout-v1"), 130, 20),
        (ATARI, 40, 1),
    ],
    ids=lambda value: value["env_id"] if isinstance(value, dict) else "",
)
def test_a_vector_goes_on_where_another_one_was(settings, num_steps, num_points):
    """The points lie within episodes, at their last rows and at first ones; steps beyond a point change nothing.

    All actions come in the same memory.
    """
    first = vector_of(**settings)
    actions = actions_of(first, num_steps)
    memory = actions[0].copy()
    rows = [first.reset()]
    points = []
    for t, action in enumerate(actions):
        memory[:] = action
        mark = first.mark()
        rows.append(first.step(memory))
        if t >= num_steps - num_points:
            points.append(first.arrays_at(mark))
    if settings is not ATARI:
        assert any(row.first.any() for row in rows[1:]), "no episode has ended"
    for t, arrays in zip(range(num_steps - num_points, num_steps), points, strict=True):
        assert all(array.dtype != object for array in arrays.values())
        second = vector_of(**settings)
        assert_equal(second.go_to(arrays, saved(rows[t])), rows[t])
        for step in range(t, num_steps):
            assert_equal(second.step(actions[step]), rows[step + 1])
        second.close()
    first.close()


def test_a_vector_that_went_back_can_be_marked_again():
    """What it would save is what the other one would, also when it is asked before its first step."""
    first = vector_of("CartPole-v1")
    actions = actions_of(first, 60)
    row = first.reset()
    for action in actions[:30]:
        row = first.step(action)
    before = first.arrays_at(first.mark())
    second = vector_of("CartPole-v1")
    second.go_to(before, row)
    for steps in (actions[:0], actions[30:]):
        for action in steps:
            first.step(action)
            second.step(action)
        one, other = (vector.arrays_at(vector.mark()) for vector in (first, second))
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_each_episode_has_a_seed_of_its_own():
    environment = vector_of("CartPole-v1")
    rows = [environment.reset(), *(environment.step(np.ones(B, int)) for _ in range(60))]
    begun = np.concatenate([row.observation[row.first] for row in rows])
    assert len(begun) > 2 * B
    assert len(np.unique(begun[:, 0])) == len(begun)


def test_an_environment_with_other_state_is_refused():
    """Counting's observation has the number of its episodes, which is no consequence of a seed."""
    environment = vector_of(COUNTING)
    rows = [environment.reset(), *(environment.step(np.zeros(B, int)) for _ in range(8))]
    arrays = environment.arrays_at(environment.mark())
    with pytest.raises(SettingError, match=r"^--exact_resume=true: .* environment 0 of .*Counting-v0 .*other state"):
        vector_of(COUNTING).go_to(arrays, rows[-1])


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda arrays, row: (arrays, row._replace(observation=row.observation + [[0], [1], [0]])), "1 .*observation"),
        (lambda arrays, row: (arrays, row._replace(episode_return=row.episode_return + [0, 0, 1])), "2 .*reward"),
        (lambda arrays, row: (arrays | dict(ended=~arrays["ended"]), row), "0 .*ends elsewhere"),
        (lambda arrays, row: (arrays | dict(lengths=np.array([30, 0, 0])), row), "0 .*it ends earlier"),
    ],
)
def test_what_differs_is_said(change, how):
    environment = vector_of("CartPole-v1")
    row: EnvOutput = environment.reset()
    for _ in range(9):
        row = environment.step(np.ones(B, int))
    arrays = environment.arrays_at(environment.mark())
    changed, changed_row = change(arrays, row)
    changed["actions"] = np.ones([int(changed["lengths"].sum())], int)
    with pytest.raises(SettingError, match=f"environment {how}"):
        vector_of("CartPole-v1").go_to(changed, changed_row)
