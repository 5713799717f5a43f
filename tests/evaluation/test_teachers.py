"""Teachers are exports: what they say about unrolls, which tasks they answer for, and which are refused."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.config import Config, SettingError
from impala_tf.evaluation.export import ExportedAgent, export
from impala_tf.evaluation.teachers import Teachers, teacher_terms
from impala_tf.networks import make_agent
from tests.support.runs import metrics_of, run
from tests.support.unrolls import ACTIONS, OBSERVATIONS, B, T, loss_inputs, make_unroll

CART_POLE = environments.spec_of(Config())


def agent_of(observation=OBSERVATIONS, actions=ACTIONS, seed=1, **settings):
    config = Config(**(dict(hidden_sizes=(5,), policy_init_scale=5.0, seed=seed) | settings))
    return make_agent(config, observation, actions)


def exported(path, agent, info=None):
    export(agent, path, info or {})
    return ExportedAgent(path)


def batch(shape, seed=0):
    unroll = make_unroll(seed)
    observation = np.random.default_rng(seed).normal(size=(T + 1, B, *shape)).astype(np.float32)
    return unroll._replace(env_outputs=unroll.env_outputs._replace(observation=tf.constant(observation)))


def inputs_of(unroll, agent, network_reward=None):
    outputs = tf.zeros([T + 1, B, agent.distribution.num_parameters]), tf.zeros([T + 1, B])
    reward = unroll.env_outputs.reward if network_reward is None else network_reward
    return loss_inputs(unroll, outputs, agent.distribution, Config(), network_reward=reward)


def test_a_teacher_says_of_unrolls_what_its_agent_would(tmp_path):
    """It sees the last action and the reward of the environment, not the reward as the loss has it."""
    agent = agent_of(use_last_action_and_reward=True)
    unroll = batch((1,))
    rows = unroll.env_outputs
    reward = rows.reward / 7
    asked = Teachers([exported(tmp_path / "t", agent)])(inputs_of(unroll, agent, reward))
    last_action = tf.concat([unroll.last_action[tf.newaxis], unroll.actions], axis=0)
    expected, _ = agent.unroll(rows.observation, reward, last_action, rows.first, agent.initial_state(B))
    np.testing.assert_allclose(asked, expected, rtol=1e-5, atol=1e-6)
    other, _ = agent.unroll(rows.observation, rows.reward, last_action, rows.first, agent.initial_state(B))
    assert np.max(np.abs(other - expected)) > 0.01


@pytest.mark.parametrize("xla", [False, True])
def test_each_task_has_its_teacher(tmp_path, xla):
    """The second learned on smaller observations, which the run fills up with zeros at the end."""
    agents = [agent_of(gym.spaces.Box(-1, 1, shape, np.float32), seed=i) for i, shape in enumerate([(3, 2), (2, 1)])]
    unroll = batch((3, 2))._replace(task=tf.constant([0, 1, 0, 1]))
    teachers = Teachers([exported(tmp_path / str(i), agent) for i, agent in enumerate(agents)])
    asked = tf.function(lambda unroll: teachers(inputs_of(unroll, agents[0])), jit_compile=xla)(unroll)
    rows, observation = unroll.env_outputs, unroll.env_outputs.observation
    last_action = tf.concat([unroll.last_action[tf.newaxis], unroll.actions], axis=0)
    for task, seen in enumerate([observation, observation[:, :, :2, :1]]):
        expected, _ = agents[task].unroll(seen, rows.reward, last_action, rows.first, agents[task].initial_state(B))
        np.testing.assert_allclose(asked[:, task::2], expected[:, task::2], rtol=1e-4, atol=1e-5)


def terms(path, spec=CART_POLE, **settings):
    return teacher_terms(Config(teacher=str(path), **settings), spec)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    spaces = CART_POLE[:2]
    exported(tmp_path / "core", agent_of(*spaces, core="gru", core_size=4))
    exported(tmp_path / "actions", agent_of(spaces[0], gym.spaces.Discrete(3)))
    exported(tmp_path / "fits", agent_of(*spaces))
    assert len(terms(tmp_path / "fits")) == 1
    assert teacher_terms(Config(), CART_POLE) == ()
    exported(tmp_path / "damaged", agent_of(*spaces))
    (tmp_path / "damaged" / "saved_model.pb").write_bytes(b"damaged")
    two_tasks = CART_POLE._replace(tasks=("a", "b", "c"))
    for given, spec, message in (
        (tmp_path / "core", CART_POLE, "has a core, whose state"),
        (tmp_path / "damaged", CART_POLE, r"cannot be loaded .saved_model.pb is damaged"),
        (tmp_path / "actions", CART_POLE, "--env_id=CartPole-v1: its observations .* do not fit the agent"),
        (f"{tmp_path / 'fits'},{tmp_path / 'fits'}", two_tasks, "2 exports for 3 tasks; give one, or one for each"),
    ):
        with pytest.raises(SettingError, match=f"^--teacher={given}: {message}") as error:
            terms(given, spec)
        assert "\n" not in str(error.value)
    with pytest.raises(SettingError, match=r"^--teacher: .*/none is not an export of impala_tf"):
        terms(f"{tmp_path / 'fits'},{tmp_path / 'none'}")


def test_a_box_must_mean_the_same(tmp_path):
    spec = CART_POLE._replace(action_space=gym.spaces.Box(-1, 1, (1,)))
    info = dict(environment=dict(action_bounds="tanh"), action_scale_init=0.2)
    exported(tmp_path / "t", agent_of(*spec[:2], action_bounds="tanh", action_scale_init=0.2), info)
    assert terms(tmp_path / "t", spec, action_bounds="tanh", action_scale_init=0.2)
    with pytest.raises(SettingError, match=r"something else; give --action_bounds=tanh --action_scale_init=0\.2, as"):
        terms(tmp_path / "t", spec)


def test_a_run_of_two_tasks_learns_from_teachers(tmp_path):
    """Its policy comes near theirs, though the task pays for another one."""
    agent = agent_of(*CART_POLE[:2])
    agent.keras_variables[-3].assign(np.float32([3, 0]))  # The bias of the policy's head.
    teacher = exported(tmp_path / "left", agent)
    settings = dict(env_id="CartPole-v1,CartPole-v0", teacher=f"{tmp_path / 'left'},{tmp_path / 'left'}")
    run(tmp_path / "run", total_environment_frames=4000, teacher_cost=10.0, **settings)
    observation = np.random.default_rng(0).normal(0, 0.1, size=(50, 4)).astype(np.float32)
    row = observation, np.zeros(50, np.float32), teacher.initial_action(50), np.ones(50, bool)
    student = ExportedAgent(tmp_path / "run" / "saved_model")
    theirs, ours = (
        x.step(*row, x.initial_state(50), np.zeros(2, np.int32))["policy_parameters"] for x in (teacher, student)
    )
    kl = np.mean(agent.distribution.kl(theirs, ours))
    assert kl < 0.4 * np.mean(agent.distribution.kl(theirs, tf.zeros_like(theirs)))
    assert {"teacher_kl", "teacher_loss"} <= set(metrics_of(tmp_path / "run"))
