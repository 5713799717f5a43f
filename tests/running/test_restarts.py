"""Runs whose environments fail: what is learned from, what is counted, and how they end."""

import csv

import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config
from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.networks import make_agent
from impala_tf.records.files import read_npz
from impala_tf.running.hosts.actor_host import ActorHost
from impala_tf.running.hosts.answers import Plan
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.types import ABORTED
from tests.support.actors import T, make_actor, unrolls
from tests.support.faulty import FAULTY_STEP, IDS
from tests.support.runs import TINY, metrics_of, run
from tests.support.unrolls import loss_inputs

CRASHING = dict(env_id=f"{IDS}Crashing-v0", vectorization="sync")


@pytest.fixture(scope="module")
def across():
    """An agent with memory, and an unroll in whose second environment another one begins at row FAULTY_STEP."""
    settings = dict(core="lstm", core_size=4, policy_init_scale=1.0, max_env_restarts=1, vectorization="sync")
    actor, queue, agent = make_actor(f"{IDS}FaultyInProcess-v0", num_envs=2, batch_size=2, **settings)
    return agent, unrolls(actor, queue, agent, 1)[0]


def test_a_restart_inside_an_unroll_equals_its_two_halves(across):
    """Rows 0-2 are of the environment that failed: V of the last row that it emitted is what they bootstrap from, as at
    a time limit. Step 2 is lost with it, and rows 3-4 are of the new one. So are the gradients of all weights.
    """
    agent, unroll = across
    config = Config(discounting=0.9, entropy_cost=0.1)
    rows = unroll.env_outputs
    assert rows.first[:, 1].tolist() == [True, False, False, True, False]
    assert not (rows.terminated | rows.truncated)[:, 1].any()

    def loss(start, end, last_action, core_state):
        """The loss of the second environment's rows start to end, of which the last one bootstraps."""

        def cut(leaf, last=end + 1):
            return tf.constant(leaf[start:last, 1:2])

        part = unroll._replace(
            env_outputs=tf.nest.map_structure(cut, rows),
            actions=cut(unroll.actions, end),
            behaviour_parameters=cut(unroll.behaviour_parameters, end),
            task=tf.constant(unroll.task[1:2]),
        )
        emitted = part.env_outputs
        last_actions = tf.concat([tf.constant(last_action[None]), part.actions], 0)
        with tf.GradientTape() as tape:
            outputs = agent.unroll(emitted.observation, emitted.reward, last_actions, emitted.first, core_state)
            got = make_algorithm(config).loss(loss_inputs(part, outputs[:2], agent.distribution, config))
        return got, tape.gradient(got.total, agent.variables)

    anything = tf.fill([1, agent.state_size], 7.0)
    start = unroll.last_action[1:2], tf.constant(unroll.core_state[1:2])
    whole, gradient = loss(0, T, *start)
    first, first_gradient = loss(0, FAULTY_STEP - 1, *start)
    # What the actor and the network remember of the time before has no effect on a `first` row.
    second, second_gradient = loss(FAULTY_STEP, T, unroll.actions[FAULTY_STEP - 1, 1:2], anything)
    np.testing.assert_allclose(whole.advantage_tm1[: FAULTY_STEP - 1], first.advantage_tm1, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(whole.advantage_tm1[FAULTY_STEP - 1], [0])
    np.testing.assert_allclose(whole.advantage_tm1[FAULTY_STEP:], second.advantage_tm1, rtol=1e-5, atol=1e-6)
    assert np.abs(whole.advantage_tm1).max() > 0.1
    np.testing.assert_allclose(whole.total, first.total + second.total, rtol=1e-5)
    for both, one, other in zip(gradient, first_gradient, second_gradient, strict=True):
        np.testing.assert_allclose(both, one + other, rtol=1e-4, atol=1e-5)


def test_the_actor_acts_after_a_restart_as_at_the_beginning(across):
    """The state of the core and the last action are those of an episode's first row."""
    agent, unroll = across
    rows = unroll.env_outputs
    row = tf.nest.map_structure(lambda leaf: leaf[FAULTY_STEP, 1:2], rows)
    nothing = np.zeros(1, np.int64), tf.zeros([1, agent.state_size])
    step = agent.step(row.observation, row.reward, nothing[0], row.first, nothing[1], [1, 2])
    np.testing.assert_allclose(step.parameters, unroll.behaviour_parameters[FAULTY_STEP, 1:2], rtol=1e-5, atol=1e-6)


def test_a_lost_episode_is_no_episode_and_a_lost_step_is_no_step(across):
    _, unroll = across
    groups = tf.nest.map_structure(lambda leaf: tf.constant(leaf[None]), unroll)
    statistics = batch_statistics(groups)
    assert statistics.num_aborted == 1
    assert len(statistics.returns) == len(statistics.lengths) == len(statistics.actors) == 0
    assert statistics.num_steps == 2 * T - 1


def test_restarts_and_lost_episodes_are_counted(tmp_path):
    """Each environment plays 5 and 6 steps, and fails in the third step of its next episode."""
    run(tmp_path, **CRASHING, max_env_restarts=10**6)
    metrics = metrics_of(tmp_path)
    restarts, aborted, episodes = (metrics[name][-1] for name in ("env_restarts", "aborted_episodes", "episodes"))
    with (tmp_path / "episodes.csv").open() as file:
        played = list(csv.DictReader(file))
    assert {row["episode_length"] for row in played} == {"5", "6"}
    assert len(played) == episodes
    num_envs = TINY["num_actors"] * TINY["num_envs_per_actor"]
    assert 100 < aborted <= restarts, "unrolls on their way are not counted yet"
    assert abs(episodes - 2 * aborted) <= 2 * num_envs


def test_past_the_budget_the_run_ends_saved_and_shows_the_first_traceback(tmp_path, capsys):
    with pytest.raises(EnvironmentFailure) as raised:
        run(tmp_path, **CRASHING, max_env_restarts=3, total_environment_frames=10**9)
    message, path = str(raised.value), tmp_path / "environment_failure.txt"
    assert "the restarts of an hour are used up (--max_env_restarts=3)" in message
    assert message.endswith(f"; the traceback is in {path}")
    assert 'raise OSError("the simulator has died")' in path.read_text()
    _, info = read_npz(max((tmp_path / "checkpoints").glob("*.npz")))
    assert info["metrics"]["env_restarts"] == 3
    assert capsys.readouterr().err.count("it is made anew (restart ") == 3


def test_a_host_of_actors_counts_its_restarts():
    config = Config(**(TINY | CRASHING), max_env_restarts=100)
    spec = environments.spec_of(config)
    agent = make_agent(config, spec.observation_space, spec.action_space)
    host = ActorHost(Plan(config, spec, 4), range(1), 7)
    answers = [host.unroll(version, agent.flat_weights().numpy()) for version in range(4)]
    assert [answer.env_restarts for answer in answers] == [0, 0, 0, 4]
    assert np.count_nonzero(answers[3].unroll.env_outputs.episode_steps == ABORTED) == 4
    host.close()
