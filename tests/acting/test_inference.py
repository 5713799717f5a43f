import threading

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.acting.inference import DynamicBatchingPolicy
from impala_tf.config import Config
from impala_tf.networks import make_agent
from impala_tf.types import PolicyStep
from tests.support.distributions import SEED

BOX = gym.spaces.Box(-1, 1, (4,), np.float32)
NUM_THREADS = 3


class RecordingAgent:
    """Answers with the row's own observation, records the batches, fails on an observation above 100."""

    def __init__(self):
        self.batches = []

    def step(self, observation, reward, last_action, first, core_state, seed):
        def record(x):
            self.batches.append(np.array(x))
            if x.max() > 100:
                raise ValueError("the policy has failed")
            return x[:, 0]

        baseline = tf.numpy_function(record, [observation], tf.float32)
        baseline.set_shape([None])
        return PolicyStep(last_action + 1, observation, baseline, core_state)


def call_together(policy, observations):
    """Each observation [B, 4] in a thread of its own, inside a tf.function as in an actor; results or errors."""
    results = [None] * len(observations)
    barrier = threading.Barrier(len(observations))

    def work(i):
        size = len(observations[i])

        @tf.function(autograph=False)
        def call(observation):
            nothing = tf.zeros([size]), tf.zeros([size], tf.int64), tf.zeros([size], tf.bool), tf.zeros([size, 2])
            return policy.step(observation, *nothing, SEED)

        concrete = call.get_concrete_function(tf.TensorSpec([size, 4]))
        barrier.wait()
        try:
            results[i] = concrete(tf.constant(observations[i]))
        except tf.errors.OpError as error:
            results[i] = error

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(observations))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return results


def observations(size=2):
    return [np.full((size, 4), i + 1, np.float32) for i in range(NUM_THREADS)]


@pytest.fixture
def agent():
    return RecordingAgent()


def test_actors_share_a_call_and_get_their_own_rows_back(agent):
    # The batch is full with all three requests, and the timeout far away: they must come as one.
    policy = DynamicBatchingPolicy(agent, 1, 6, timeout_ms=20_000)
    results = call_together(policy, observations())
    assert [len(batch) for batch in agent.batches] == [6]
    for i, result in enumerate(results):
        assert result.baseline.numpy().tolist() == [i + 1] * 2
        assert result.action.numpy().tolist() == [1, 1]


def test_the_timeout_ends_the_wait(agent):
    policy = DynamicBatchingPolicy(agent, 1, 1024, timeout_ms=50)
    results = call_together(policy, observations())
    assert [result.baseline.numpy()[0] for result in results] == [1, 2, 3]


def test_small_batches_are_padded_to_the_minimum(agent):
    policy = DynamicBatchingPolicy(agent, 8, 32, timeout_ms=1)
    (result,) = call_together(policy, observations()[:1])
    assert result.baseline.numpy().tolist() == [1, 1]
    assert [len(batch) for batch in agent.batches] == [8]


def test_an_error_reaches_every_waiting_actor(agent):
    policy = DynamicBatchingPolicy(agent, 1, 6, timeout_ms=20_000)
    bad = observations()
    bad[1][:] = 1000
    results = call_together(policy, bad)
    assert all(isinstance(result, tf.errors.OpError) for result in results)
    assert all("the policy has failed" in str(result) for result in results)


def test_two_policies_do_not_share_a_queue(agent):
    """The trap of the op: under one name the first one's settings and function would serve both."""
    other = RecordingAgent()
    one, two = (DynamicBatchingPolicy(a, 1, 2, timeout_ms=1) for a in (agent, other))
    call_together(one, observations()[:1])
    call_together(two, observations()[:1])
    assert len(agent.batches) == len(other.batches) == 1


def test_published_weights_take_effect():
    agent, newer = (
        make_agent(Config(policy_init_scale=1.0, seed=seed), BOX, gym.spaces.Discrete(3)) for seed in (1, 2)
    )
    policy = DynamicBatchingPolicy(agent, 1, 8, timeout_ms=1)
    size = 2

    @tf.function(autograph=False)
    def call(observation):
        nothing = tf.zeros([size]), tf.zeros([size], tf.int64), tf.zeros([size], tf.bool), tf.zeros([size, 0])
        return policy.step(observation, *nothing, SEED)

    observation = tf.ones([size, 4])
    before = call(observation).baseline
    policy.publish_to(newer.flat_weights())
    after = call(observation).baseline
    nothing = tf.zeros([size]), tf.zeros([size], tf.int64), tf.zeros([size], tf.bool), newer.initial_state(size)
    np.testing.assert_allclose(after, newer.step(observation, *nothing, SEED).baseline, rtol=1e-5)
    assert np.all(before != after)
