"""One graph for all actors: traced once, with weights, seeds, environments and errors of each actor's own."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from impala_tf import environments
from impala_tf.acting.actor import Actor, VectorActingGraph
from impala_tf.acting.inference import LocalPolicy
from impala_tf.acting.seeds import row_seeds
from impala_tf.config import Config
from impala_tf.support.failures import EnvironmentFailure
from tests.support.actors import T, make_actor
from tests.support.environments import COUNTING, TESTS

NUM_ACTORS = 3


class CountingPolicy(LocalPolicy):
    """Counts how often its step becomes part of a graph."""

    steps = 0

    def step(self, *inputs):
        self.steps += 1
        return super().step(*inputs)


@pytest.fixture
def template():
    actor, queue, agent = make_actor(policy_init_scale=1.0)
    return actor.spec, queue.group, agent


def make_actors(template, seeds=(1, 1, 1), env_ids=(COUNTING,) * NUM_ACTORS):
    """Actors that share a graph, and the graph's policy."""
    spec, group, agent = template
    policy = CountingPolicy(agent)
    graph = VectorActingGraph(policy, spec)
    actors = []
    for i, (seed, env_id) in enumerate(zip(seeds, env_ids, strict=True)):
        environment = environments.make_vector_environment(Config(env_id=env_id), 1, i, 6)
        actors.append(Actor(i, environment, graph, group, seed))
    return actors, policy


def act_at_once(actors, flat_weights, num_unrolls=1):
    """What each actor's unrolls are, or its error; all act at the same time, each in a thread of its own."""
    results = [[] for _ in actors]
    barrier = threading.Barrier(len(actors))

    def work(i):
        barrier.wait(30)
        try:
            for version in range(num_unrolls):
                results[i].append(actors[i].unroll(version, flat_weights[i]))
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(actors))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results


def test_the_graph_is_traced_once(template):
    actors, policy = make_actors(template)
    flat_weights = template[2].flat_weights()
    act_at_once(actors, [flat_weights] * NUM_ACTORS, num_unrolls=3)
    assert policy.steps == T


def test_the_first_call_steps_before_another_begins(template):
    """TensorFlow optimises a graph at the begin of its first call: 57 actors at once would each do it, for a minute.

    Its end is not waited for, because an environment may hang in it.
    """
    actors, _ = make_actors(template)
    graph, calls = actors[0].graph, []

    def noting(what, plain):
        def call(*arguments):
            calls.append(what)
            return plain(*arguments)

        return call

    graph._call_graph = noting("begins", graph._call_graph)
    graph._optimised.set = noting("optimised", graph._optimised.set)
    act_at_once(actors, [template[2].flat_weights()] * NUM_ACTORS)
    assert calls[:2] == ["begins", "optimised"]
    assert calls.count("begins") == NUM_ACTORS


def test_others_act_while_the_first_one_hangs_in_its_first_step(template):
    actors, _ = make_actors(template)
    flat_weights = template[2].flat_weights()
    there, release = threading.Event(), threading.Event()
    step = actors[0]._environment.step

    def hang(actions):
        there.set()
        release.wait(60)
        return step(actions)

    actors[0]._environment.step = hang
    first = threading.Thread(target=actors[0].unroll, args=(0, flat_weights), daemon=True)
    first.start()
    assert there.wait(60)
    assert actors[0].place.what == "step"
    actors[1].unroll(0, flat_weights)
    assert first.is_alive()
    release.set()
    first.join(60)
    assert actors[0].num_graph_calls == actors[1].num_graph_calls == 1


def test_actors_that_act_at_the_same_time_have_weights_of_their_own(template):
    """Each unroll's parameters are those that the actor's own weights give for the actor's own rows."""
    _, _, agent = template
    actors, _ = make_actors(template)
    flat = agent.flat_weights()
    weights = [flat * scale for scale in (0.5, 1.0, 2.0)]
    for own, unrolls in zip(weights, act_at_once(actors, weights, num_unrolls=5), strict=True):
        for unroll in unrolls:
            agent.assign_flat_weights(own)
            for t in range(T):
                # The rows of an unroll in groups: [groups, T + 1, group, ...].
                row = tf.nest.map_structure(lambda x, t=t: x[0, t], unroll.env_outputs)
                last_action = unroll.last_action[0] if t == 0 else unroll.actions[0, t - 1]
                step = agent.step(row.observation, row.reward, last_action, row.first, unroll.core_state[0], [1, 2])
                np.testing.assert_allclose(step.parameters, unroll.behaviour_parameters[0, t], rtol=1e-4, atol=1e-5)


def test_an_error_comes_out_of_the_actor_whose_environment_failed(template):
    actors, _ = make_actors(template, env_ids=(COUNTING, f"{TESTS}Failing-v0", COUNTING))
    results = act_at_once(actors, [template[2].flat_weights()] * NUM_ACTORS, num_unrolls=100)
    assert isinstance(results[1], EnvironmentFailure)
    assert isinstance(results[1].__cause__, OSError)
    assert len(results[0]) == len(results[2]) == 100


def test_an_actor_of_another_size_is_refused(template):
    actors, _ = make_actors(template)
    flat_weights = template[2].flat_weights()
    actors[0].unroll(0, flat_weights)
    smaller = environments.make_vector_environment(Config(env_id=COUNTING), 1, 9, 3)
    with pytest.raises(AssertionError, match="actor 9 does not fit"):
        Actor(9, smaller, actors[0].graph, 3, seed=1).unroll(0, flat_weights)


def actions_of(template, seeds, num_unrolls=2):
    actors, _ = make_actors(template, seeds)
    flat_weights = template[2].flat_weights()
    return [[actor.unroll(0, flat_weights).actions.numpy() for _ in range(num_unrolls)] for actor in actors]


def test_the_same_seed_gives_the_same_unrolls_and_another_seed_others(template):
    same, again, other = (
        actions_of(template, (1, 1, 1)),
        actions_of(template, (1, 1, 1)),
        actions_of(template, (2, 2, 2)),
    )
    np.testing.assert_array_equal(same, again)
    for i in range(NUM_ACTORS):
        assert np.any(same[i][0] != other[i][0])


def test_seeds_of_rows():
    """Every row, unroll, actor and run has a seed of its own; the same again has the same."""
    given = [(seed, actor, unroll) for seed in range(3) for actor in range(3) for unroll in range(3)]
    seeds = np.concatenate([row_seeds(*one, num_rows=20) for one in given])
    assert seeds.shape == (len(given) * 20, 2)
    assert seeds.dtype == np.int32
    assert len(np.unique(seeds, axis=0)) == len(seeds)
    np.testing.assert_array_equal(row_seeds(1, 2, 1, 20), row_seeds(1, 2, 1, 20))


def test_unrolls_with_the_same_weights_draw_different_numbers():
    """An endless environment of one observation: only the seeds tell two unrolls, or two actors, apart."""
    drawn = []
    for index in (0, 1):
        actor, _, agent = make_actor("impala_tf/Endless-v0", num_envs=32, batch_size=32, index=index)
        flat_weights = agent.flat_weights()
        drawn += [actor.unroll(0, flat_weights).actions.numpy() for _ in range(3)]
    for i in range(len(drawn)):
        for j in range(i):
            assert np.any(drawn[i] != drawn[j]), (i, j)
