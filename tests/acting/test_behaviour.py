"""Actors that explore: what acts is the changed policy, with each actor's own numbers, and it is what is recorded."""

import numpy as np
import pytest
import scipy.special

from impala_tf import environments
from impala_tf.acting.actor import Actor, VectorActingGraph
from impala_tf.acting.behaviour import Behaviour
from impala_tf.acting.inference import DynamicBatchingPolicy, LocalPolicy
from impala_tf.acting.partial_actor import PartialActingGraph, PartialActor
from impala_tf.config import Config, SettingError
from impala_tf.environments import JoinedEnvironment, PartialEnvironment
from impala_tf.environments.task import Task
from tests.support.actors import make_actor
from tests.support.environments import COUNTING, TESTS, Parts
from tests.support.runs import metrics_of, run

EPSILONS = np.float32([0.5, 0.125])
TEMPERATURES = np.float32([4, 2])


def test_numbers_of_the_actors():
    settings = dict(num_actors=3, behaviour_epsilon=0.4, behaviour_temperature=4.0)
    same = Behaviour.from_config(Config(**settings))
    np.testing.assert_allclose(same.epsilons, [0.4] * 3, rtol=1e-6)
    np.testing.assert_allclose(same.temperatures, [4] * 3)
    spread = Behaviour.from_config(Config(behaviour_spread=True, **settings))
    np.testing.assert_allclose(spread.epsilons, [0.4, 0.4**4.5, 0.4**8], rtol=1e-6)
    np.testing.assert_allclose(spread.temperatures, [4, 2, 1])
    assert Behaviour.from_config(Config()) == Behaviour(None, None)
    assert Behaviour.from_config(Config()).num_inputs == 0
    only = Behaviour.from_config(Config(behaviour_temperature=2.0))
    assert (only.num_inputs, only.epsilons) == (1, None)


@pytest.fixture(scope="module")
def template():
    actor, queue, agent = make_actor(policy_init_scale=1.0)
    return actor.spec, queue.group, agent


def expected_parameters(agent, unrolls, actor):
    """What acts at row 0 of unrolls [G, T + 1, group, ...]: normalised logits of the actor's mixture, [G, group, 4]."""
    rows = unrolls.env_outputs
    groups = range(len(rows.reward))
    steps = [
        agent.step(
            rows.observation[g, 0],
            rows.reward[g, 0],
            unrolls.last_action[g],
            rows.first[g, 0],
            unrolls.core_state[g],
            [1, 2],
        )
        for g in groups
    ]
    logits = np.stack([step.parameters for step in steps])
    p = scipy.special.softmax(logits / TEMPERATURES[actor], axis=-1)
    return np.log((1 - EPSILONS[actor]) * p + EPSILONS[actor] / 4)


@pytest.mark.parametrize("dynamic_batching", [False, True])
def test_each_actor_acts_with_its_own_numbers(template, dynamic_batching):
    """Two actors share a graph; the third has the environments of both, as in a2c_sync_step."""
    spec, group, agent = template
    behaviour = Behaviour(TEMPERATURES, EPSILONS)
    policy = DynamicBatchingPolicy(agent, 1, 64, 1.0, behaviour) if dynamic_batching else LocalPolicy(agent, behaviour)
    graph = VectorActingGraph(policy, spec)
    config = Config(env_id=COUNTING)
    vectors = [environments.make_vector_environment(config, 1, i, 6) for i in range(4)]
    flat_weights = agent.flat_weights()
    for i in range(2):
        unrolls = Actor(i, vectors[i], graph, group, 1).unroll(0, flat_weights)
        expected = expected_parameters(agent, unrolls, i)
        np.testing.assert_allclose(unrolls.behaviour_parameters[:, 0], expected, rtol=1e-4, atol=1e-5)
        assert np.ptp(unrolls.behaviour_parameters.numpy()) > 0.01
    joined = Actor(0, JoinedEnvironment(vectors[2:], 1), VectorActingGraph(policy, spec), group, 1)
    unrolls = joined.unroll(0, flat_weights)
    expected = np.stack([expected_parameters(agent, unrolls, i) for i in range(2)])
    of_actor = np.asarray(unrolls.actor)
    assert set(of_actor.ravel()) == {0, 1}
    expected = np.take_along_axis(expected, of_actor[np.newaxis, ..., np.newaxis], axis=0)[0]
    np.testing.assert_allclose(unrolls.behaviour_parameters[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_an_actor_whose_environments_are_handed_out_in_parts(template):
    spec, _, agent = template
    graph = PartialActingGraph(LocalPolicy(agent, Behaviour(TEMPERATURES, EPSILONS)), spec)
    actor = PartialActor(1, PartialEnvironment(Parts(4), 4, 2, Task()), graph, seed=1)
    unrolls = [actor.unroll(0, agent.flat_weights()) for _ in range(4)]
    count = 0
    for unroll in unrolls:
        if len(unroll.actor):
            expected = expected_parameters(agent, unroll, 1)
            np.testing.assert_allclose(unroll.behaviour_parameters[:, 0], expected, rtol=1e-4, atol=1e-5)
            count += len(unroll.actor)
    assert count >= 4


def test_actions_follow_the_changed_policy():
    """A policy that always chooses the same explores with epsilon 1: every action comes."""
    actor, _, agent = make_actor(num_envs=64, batch_size=64, policy_init_scale=1000.0)
    actor.graph.policy.behaviour = Behaviour(epsilons=np.float32([1]))
    actions = actor.unroll(0, agent.flat_weights()).actions.numpy().ravel()
    np.testing.assert_allclose(np.bincount(actions, minlength=4) / len(actions), 0.25, atol=0.1)


def test_a_run_learns_off_policy(tmp_path):
    """The ratios are those to what acted, not 1."""
    settings = dict(behaviour_epsilon=0.5, behaviour_temperature=3.0, behaviour_spread=True)
    run(tmp_path, env_id="CartPole-v1", policy_init_scale=1.0, total_environment_frames=400, **settings)
    assert metrics_of(tmp_path)["ratio_max"].max() > 1.05


def test_masked_actions_are_never_taken(tmp_path):
    """The environment raises for an action that its mask rules out."""
    summary = run(
        tmp_path,
        env_id=f"{TESTS}Masked-multi_discrete-v0",
        total_environment_frames=400,
        behaviour_epsilon=0.9,
        behaviour_temperature=50.0,
    )
    assert summary.environment_frames >= 400


def test_epsilon_is_refused_for_a_box():
    for env_id in ("Pendulum-v1", f"{TESTS}Target-tuple-v0"):
        with pytest.raises(SettingError, match=r"--behaviour_epsilon=0.1: .* has a Box action") as error:
            environments.spec_for_training(Config(env_id=env_id, behaviour_epsilon=0.1))
        assert "\n" not in str(error.value)
    environments.spec_for_training(Config(env_id="Pendulum-v1", behaviour_temperature=2.0))
