"""Environments that fail: which rows they leave, when they are made anew, and what is said when they are not."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.environments import restarts as restarts_module
from impala_tf.environments.restarts import HOUR_SECS, Restarts, wait_secs
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.types import ABORTED
from tests.support.environments import TESTS
from tests.support.faulty import FAULTY, FAULTY_STEP, IDS, KINDS, seed_of
from tests.support.vectors import check_types, make_vector, rollout

IN_PROCESS = f"{IDS}FaultyInProcess-v0"
NUM_ROWS = 9


def check_restarted(rows, i, length):
    """Environment i failed in the step to row FAULTY_STEP; there a new one begins, whose episode has `length` steps."""
    expected = [(0, t) for t in range(FAULTY_STEP)] + [(0, t) for t in range(length + 1)]
    expected = expected[:NUM_ROWS]
    np.testing.assert_array_equal(rows.observation[: len(expected), i, :2], expected)
    assert np.flatnonzero(rows.first[: len(expected), i]).tolist() == [0, FAULTY_STEP]
    assert rows.observation[FAULTY_STEP, i, 2] == -1, "the action is lost with the old environment"
    assert rows.reward[FAULTY_STEP, i] == rows.episode_return[FAULTY_STEP, i] == 0
    assert not (rows.terminated | rows.truncated)[: len(expected) - 1, i].any()
    assert rows.episode_steps[: FAULTY_STEP + 2, i].tolist() == [0, 1, 2, ABORTED, 1]
    np.testing.assert_array_equal(rows.reward[FAULTY_STEP + 1 : len(expected), i], np.arange(1, length + 1)[:5])


def test_processes_that_fail_in_every_way_are_replaced(capfd):
    """The rows of each are those of a time limit that nobody saw: the next row is `first`. The others step on."""
    counted = []
    environment = environments.make_vector_environment(
        Config(env_id=FAULTY, vectorization="async", max_env_restarts=9, env_timeout_secs=4),
        seed=1,
        actor=0,
        num_envs=len(KINDS),
        restarts=Restarts(9, lambda: counted.append(1)),
    )
    processes = environment._env.processes
    rows = rollout(environment, NUM_ROWS - 1)
    check_types(rows)
    replaced = [KINDS[i] for i, process in enumerate(processes) if process is not environment._env.processes[i]]
    assert replaced == ["exits", "hangs", "is killed"], "one that raises goes on in its process"
    for i in range(1, 5):
        check_restarted(rows, i, length=5)
    whole = [(0, t) for t in range(6)]
    np.testing.assert_array_equal(rows.observation[:, 0, :2], [*whole, (1, 0), (1, 1), (1, 2)])
    # The episode had ended before the reset failed, so it counts, and the new environment begins as any episode does.
    np.testing.assert_array_equal(rows.observation[:, 5, :2], [*whole, (0, 0), (0, 1), (0, 2)])
    assert rows.episode_steps[:, 5].tolist() == rows.episode_steps[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert len(counted) == 5
    said = capfd.readouterr().err
    for i, what in (
        (1, r"raised in its step: OSError: the simulator has died"),
        (2, "which ended with exit code 3"),
        (3, "has been in its step for 4 s, so its process was ended ("),
        (4, "which ended by SIGKILL"),
        (5, "raised in its reset: OSError: no more episodes"),
    ):
        (line,) = [line for line in said.splitlines() if f"environment {i} of actor 0" in line]
        assert what in line
        assert ("faulty.py, line " in line) == (i in (1, 3, 5)), "where it raised, or where it hangs"


def test_an_environment_of_this_process_is_made_anew_after_an_exception():
    rows = rollout(make_vector(IN_PROCESS, num_envs=3, vectorization="sync", max_env_restarts=1), NUM_ROWS - 1)
    check_types(rows)
    check_restarted(rows, 1, length=5)
    np.testing.assert_array_equal(rows.observation[:6, 2, :2], [(0, t) for t in range(6)])


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_without_restarts_the_first_failure_names_environment_seed_and_line(vectorization):
    environment = make_vector(IN_PROCESS, num_envs=2, vectorization=vectorization)
    environment.reset()
    for _ in range(FAULTY_STEP - 1):
        environment.step(np.zeros(2, int))
    with pytest.raises(EnvironmentFailure) as raised:
        environment.step(np.zeros(2, int))
    environment.close()
    assert f"--env_id={IN_PROCESS}: environment 1 of actor 0 (seed {seed_of(1)}) raised in its step: OSError: the " in (
        message := str(raised.value)
    )
    assert "faulty.py, line " in message
    assert "\n" not in message
    assert 'raise OSError("the simulator has died")' in raised.value.trace
    if vectorization == "sync":
        assert isinstance(raised.value.__cause__, OSError)


def test_past_the_budget_the_first_failure_ends_the_run():
    environment = make_vector(f"{IDS}Crashing-v0", num_envs=2, vectorization="sync", max_env_restarts=3)
    rows = []
    with pytest.raises(EnvironmentFailure) as raised:  # noqa: PT012
        rows.append(environment.reset())
        while True:
            rows.append(environment.step(np.zeros(2, int)))
    # Both fail in the third episode of each environment, and the second of them is the fourth failure.
    assert sum((row.episode_steps == ABORTED).sum() for row in rows) == 2
    message = str(raised.value)
    assert message.startswith(f"--env_id={IDS}Crashing-v0: environment 0 of actor 0 (seed {seed_of(0)}) raised in its ")
    assert message.endswith(
        "now environment 1 of actor 0 has failed, and the restarts of an hour are used up (--max_env_restarts=3)"
    )
    assert "the simulator has died" in raised.value.trace


def test_the_budget_is_of_an_hour(monkeypatch):
    now = itertools.count(0.0, HOUR_SECS / 2 + 1)  # Each restart comes half an hour after the one before.
    monkeypatch.setattr(restarts_module.time, "monotonic", lambda: next(now))
    enough, scarce = Restarts(2), Restarts(1)
    for number in range(10):
        enough.take(EnvironmentFailure(f"failure {number}"), "environment 0")
    scarce.take(EnvironmentFailure("the first"), "environment 0")
    with pytest.raises(EnvironmentFailure, match=r"^the first; now environment 1 has failed, and the restarts of an"):
        scarce.take(EnvironmentFailure("the second"), "environment 1")


def test_an_environment_that_never_steps_is_made_anew_ever_later():
    assert wait_secs(0) == 0
    waits = [wait_secs(n) for n in range(1, 12)]
    assert waits[:3] == [0.1, 0.2, 0.4]
    assert max(waits) == 4.0, "so that a run that is asked to end does so"


class Unmakeable(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    made = 0

    def __init__(self):
        type(self).made += 1
        if self.made in (3, 4, 5):  # The first is made to learn the spaces.
            raise OSError("the port is in use")

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_environments_that_cannot_be_made_are_tried_again(monkeypatch):
    gym.register("tests/Unmakeable-v0", Unmakeable, disable_env_checker=True)
    waits = []
    monkeypatch.setattr("impala_tf.environments.guard.time.sleep", waits.append)
    try:
        rows = rollout(make_vector("tests/Unmakeable-v0", 2, vectorization="sync", max_env_restarts=3), 1)
    finally:
        gym.registry.pop("tests/Unmakeable-v0")
    assert rows.first[0].all()
    assert waits == [0.1, 0.2, 0.4]


def test_what_numpy_would_spread_over_the_observation_is_refused():
    environment = make_vector(f"{IDS}Narrow-v0", num_envs=1, vectorization="async", max_env_restarts=9)
    environment.reset()
    environment.step(np.zeros(1, int))
    with pytest.raises(
        SettingError, match=r"^--env_id=.*Narrow-v0: the observation of its step is .*shape \(1,\), not"
    ):
        environment.step(np.zeros(1, int))
    environment.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            dict(max_env_restarts=1),
            "--max_env_restarts=1: CartPole-v1 is stepped by native, .*--vectorization=async, or",
        ),
        (
            dict(env_timeout_secs=2.5, env_id=f"{TESTS}Counting-v0"),
            "--env_timeout_secs=2.5: with sync environments are in the actor's own process, .*--vectorization=async",
        ),
        (dict(max_env_restarts=-1), "--max_env_restarts=-1: must be at least 0"),
    ],
)
def test_what_cannot_be_made_up_for_is_said(settings, message):
    with pytest.raises(SettingError, match=message):
        environments.spec_of(Config(**settings))


class BadVector(gym.vector.VectorEnv):
    """A vector of an id's own, which raises in its second step."""

    metadata = {"autoreset_mode": gym.vector.AutoresetMode.NEXT_STEP}  # noqa: RUF012
    num_envs = 2
    steps = 0

    def reset(self, *, seed=None, options=None):
        if self.steps:
            raise OSError("no more episodes")
        return np.zeros([2, 1], np.float32), {}

    def step(self, actions):
        self.steps += 1
        if self.steps == 2:
            raise OSError("the simulator has died")
        return np.zeros([2, 1], np.float32), np.zeros(2), np.zeros(2, bool), np.zeros(2, bool), {}


def test_a_vector_of_a_library_is_named_with_the_line_that_failed():
    environment = environments.VectorEnvironment(BadVector(), 1)
    environment.reset()
    environment.step(np.zeros(2, int))
    with pytest.raises(
        EnvironmentFailure, match=r"raised in its step: OSError: the simulator has died \(.*, line "
    ) as e:
        environment.step(np.zeros(2, int))
    assert isinstance(e.value.__cause__, OSError)
    with pytest.raises(EnvironmentFailure, match="raised in its reset: OSError: no more episodes"):
        environment.reset()
