"""Actor, writer and queue together: what comes out of the queue is what the environments did."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.acting.inference import LocalPolicy
from impala_tf.acting.partial_actor import PartialActingGraph, PartialActor
from impala_tf.config import Config
from impala_tf.environments import PartialEnvironment
from impala_tf.environments.task import Task
from impala_tf.experience.unroll_queue import UnrollQueue, join_groups
from impala_tf.experience.unroll_spec import map_leaves, unroll_spec
from impala_tf.networks import make_agent
from impala_tf.support.failures import EnvironmentFailure
from impala_tf.types import ArraySpec, EnvOutput
from tests.support.actors import T, make_actor, unrolls
from tests.support.environments import COUNTING, TESTS, Parts


@pytest.mark.parametrize(("num_envs", "batch_size"), [(6, 9), (4, 4), (1, 1), (1, 3), (2, 6), (6, 2)])
def test_unrolls_chain(num_envs, batch_size):
    """Row T is row 0 of the next unroll; every row follows from the one before; groups of any size keep the order."""
    actor, queue, agent = make_actor(num_envs=num_envs, batch_size=batch_size)
    first, second, third = unrolls(actor, queue, agent, 3)
    for a, b in [(first, second), (second, third)]:
        for name in EnvOutput._fields:
            np.testing.assert_array_equal(getattr(a.env_outputs, name)[T], getattr(b.env_outputs, name)[0])
        np.testing.assert_array_equal(a.actions[T - 1], b.last_action)
    rows = np.concatenate([u.env_outputs.observation[:T] for u in (first, second, third)])
    actions = np.concatenate([u.actions for u in (first, second, third)])
    expected = ([(0, t) for t in range(6)] + [(1, t) for t in range(7)])[: 3 * T]
    for i in range(num_envs):
        np.testing.assert_array_equal(rows[:, i, :2], expected)
        for t in range(1, 3 * T):
            # The environment shows the action it was given: that of the row before, unless it had to reset.
            assert rows[t, i, 2] == (-1 if rows[t, i, 1] == 0 else actions[t - 1, i])
    assert len(np.unique(actions)) > 1
    assert first.env_outputs.first[0].all()
    assert [u.policy_version[0] for u in (first, second, third)] == [0, 1, 2]
    assert (first.actor == 0).all()


def test_the_learner_sees_the_policy_that_acted():
    """With the weights that acted, the learner's unroll gives exactly the behaviour parameters: all ratios are 1.

    Over several unrolls with weights of their own, so that weights that are not taken anew would show; with an LSTM, so
    that a wrong initial state, last action or reset would show.
    """
    settings = dict(core="lstm", core_size=8, policy_init_scale=1.0)
    actor, queue, agent = make_actor(**settings)
    action_space = environments.spec_of(Config(env_id=COUNTING)).action_space
    for seed in range(9, 13):
        config = Config(use_last_action_and_reward=True, seed=seed, **settings)
        learner = make_agent(config, agent.observation_space, action_space)
        unroll = unrolls(actor, queue, agent, 1, learner.flat_weights())[0]
        last_actions = np.concatenate([unroll.last_action[None], unroll.actions])
        rows = unroll.env_outputs
        parameters, v = learner.unroll(rows.observation, rows.reward, last_actions, rows.first, unroll.core_state)
        np.testing.assert_allclose(parameters[:-1], unroll.behaviour_parameters, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(v[:-1], unroll.behaviour_baselines[..., 0], rtol=1e-4, atol=1e-5)
    assert np.any(unroll.core_state != 0)


def test_the_same_seed_twice_and_another_seed():
    def actions(**settings):
        actor, queue, agent = make_actor("CartPole-v1", **settings)
        return np.concatenate([u.actions for u in unrolls(actor, queue, agent, 5)])

    np.testing.assert_array_equal(actions(seed=1), actions(seed=1))
    assert np.any(actions(seed=1) != actions(seed=2))
    assert np.any(actions(seed=1, index=0) != actions(seed=1, index=1)), "actors sample alike"


def test_sampled_actions_follow_the_policy():
    """The sampling ops of an unroll are independent: no row copies another one's random numbers."""
    actor, queue, agent = make_actor("CartPole-v1", num_envs=64, batch_size=64)
    actions = np.concatenate([u.actions for u in unrolls(actor, queue, agent, 20)])
    assert abs(actions.mean() - 0.5) < 0.05
    agreement = np.corrcoef(actions)
    np.fill_diagonal(agreement, 0)
    assert np.abs(agreement).max() < 0.7


def test_an_environment_error_is_raised():
    actor, _, agent = make_actor(f"{TESTS}Failing-v0", num_envs=1, batch_size=1)

    def act():
        for version in range(100):
            actor.unroll(version, agent.flat_weights())

    with pytest.raises(EnvironmentFailure, match="the simulator has died"):
        act()


def test_pictures_travel_as_bytes():
    actor, queue, agent = make_actor(f"{TESTS}Pictures-v0", network="shallow")
    unroll = unrolls(actor, queue, agent, 2)[1]
    assert unroll.env_outputs.observation.dtype == np.uint8
    assert unroll.env_outputs.observation.shape == (T + 1, 6, 36, 36, 1)
    assert unroll.env_outputs.observation.std() > 50


@pytest.mark.parametrize("side", ["put", "get"])
def test_a_closed_queue_wakes(side):
    actor, _, agent = make_actor(num_envs=3, batch_size=3)
    queue = UnrollQueue(actor.spec, batch_size=3, num_envs=3, capacity=3)
    unroll = actor.unroll(0, agent.flat_weights())
    raised = threading.Event()
    if side == "put":
        queue.put(unroll)

    def wait():
        try:
            queue.put(unroll) if side == "put" else queue.get()
        except (tf.errors.OutOfRangeError, tf.errors.CancelledError):
            raised.set()

    threading.Thread(target=wait, daemon=True).start()
    assert not raised.wait(0.2), "not blocked"
    queue.close()
    assert raised.wait(30)


def test_unrolls_of_environments_handed_out_in_parts():
    """Each environment's unrolls chain, its rows follow from its actions, and the learner would compute ratio 1."""
    num_envs = 5
    _, _, agent = make_actor(core="lstm", core_size=8, policy_init_scale=1.0)
    config = Config(env_id=COUNTING, use_last_action_and_reward=True, core="lstm", core_size=8)
    environment_spec = environments.spec_of(config)
    spec = unroll_spec(
        T,
        ArraySpec((3,), np.float32),
        ArraySpec((), np.dtype(np.int64)),
        agent.distribution.num_parameters,
        agent.state_size,
        num_baselines=1,
    )
    acting = make_agent(config, environment_spec.observation_space, environment_spec.action_space)
    environment = PartialEnvironment(Parts(num_envs), num_envs, 2, Task())
    actor = PartialActor(3, environment, PartialActingGraph(LocalPolicy(acting), spec), seed=1)
    parts = [actor.unroll(version, agent.flat_weights()) for version in range(40)]
    together = map_leaves(lambda name, _, *leaves: np.concatenate(leaves), spec, *parts)
    count = len(together.actor)
    assert count > 5 * num_envs
    assert any(len(part.actor) == 0 for part in parts) or len({len(part.actor) for part in parts}) > 1
    assert (together.actor == 3).all()
    rows = together.env_outputs
    # Whose unroll it is shows in how it goes on: row 0 of each is row T of one before it.
    chains = 0
    for k in range(count):
        observation, actions = rows.observation[k, :, 0], together.actions[k, :, 0]
        for t in range(T):
            starts = bool(rows.first[k, t + 1, 0])
            assert starts == (rows.terminated[k, t, 0] | rows.truncated[k, t, 0])
            assert observation[t + 1, 2] == (-1 if starts else actions[t])
        if observation[0, 0] + observation[0, 1] > 0 or not rows.first[k, 0, 0]:
            before = [
                j
                for j in range(k)
                if np.array_equal(rows.observation[j, T], rows.observation[k, 0])
                and together.actions[j, T - 1, 0] == together.last_action[k, 0]
            ]
            assert before
            chains += 1
    assert chains == count - num_envs
    # The learner's unroll from the recorded start gives the recorded behaviour.
    batch = join_groups(tf.nest.map_structure(tf.convert_to_tensor, together))
    last_actions = tf.concat([batch.last_action[tf.newaxis], batch.actions], axis=0)
    outputs = batch.env_outputs
    parameters, v = agent.unroll(outputs.observation, outputs.reward, last_actions, outputs.first, batch.core_state)
    np.testing.assert_allclose(parameters[:-1], batch.behaviour_parameters, atol=1e-5)
    np.testing.assert_allclose(v[:-1], batch.behaviour_baselines[..., 0], atol=1e-5)


def test_the_version_of_a_part_is_that_of_its_first_action():
    """The policy's logits are its version; an unroll is stamped with the version that its row 0 shows."""
    _, _, agent = make_actor()
    spec = unroll_spec(T, ArraySpec((3,), np.float32), ArraySpec((), np.dtype(np.int64)), 4, 0)

    class VersionPolicy(LocalPolicy):
        def with_weights(self, flat_weights):
            self.version = flat_weights[0]
            return super().with_weights(flat_weights)

        def step(self, observation, reward, last_action, first, core_state, seed, *behaviour):
            step = super().step(observation, reward, last_action, first, core_state, seed)
            return step._replace(parameters=0 * step.parameters + self.version)

    graph = PartialActingGraph(VersionPolicy(agent), spec)
    actor = PartialActor(0, PartialEnvironment(Parts(6), 6, 2, Task()), graph, seed=1)
    unrolls = [actor.unroll(v, tf.fill(agent.flat_weights().shape, float(v))) for v in range(30)]
    shown = np.concatenate([u.behaviour_parameters[:, 0, 0, 0] for u in unrolls])
    stamped = np.concatenate([u.policy_version[:, 0] for u in unrolls])
    assert len(shown) > 20
    np.testing.assert_array_equal(shown, stamped)


def test_nothing_ended_yet():
    _, _, agent = make_actor()
    spec = unroll_spec(40, ArraySpec((3,), np.float32), ArraySpec((), np.dtype(np.int64)), 4, 0)
    graph = PartialActingGraph(LocalPolicy(agent), spec)
    actor = PartialActor(0, PartialEnvironment(Parts(6), 6, 2, Task()), graph, seed=1)
    unroll = actor.unroll(0, agent.flat_weights())
    assert unroll.env_outputs.observation.shape == (0, 41, 1, 3)
    queue = UnrollQueue(spec, 2, 1)
    queue.put(unroll)
    assert queue.size() == 0
