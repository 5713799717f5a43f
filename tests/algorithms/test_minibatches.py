"""Minibatches of a batch: together they teach what the batch teaches, time limits included."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config
from impala_tf.experience.batch_statistics import batch_statistics
from impala_tf.experience.marks import all_fresh
from impala_tf.experience.reuse import ReuseSource
from impala_tf.experience.source import Batch
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.spaces import distributions
from impala_tf.types import Needs, NetworkOutputs
from tests.support.unrolls import A, B, T, in_groups, loss_inputs, make_unroll

DISTRIBUTION = distributions.for_space(gym.spaces.Discrete(A))


class OneBatch:
    def __init__(self, unroll):
        groups = in_groups(unroll)
        self.batch = Batch(groups, all_fresh(B), batch_statistics(groups))

    def next(self):
        return self.batch

    def has_next(self):
        return True


@pytest.mark.parametrize("algorithm", ["impala", "impact", "ppo"])
def test_their_losses_add_up_to_the_batchs(algorithm):
    config = Config(algorithm=algorithm, entropy_cost=0.1)
    unroll = make_unroll()._replace(policy_version=tf.range(B, dtype=tf.int64))  # It says which unroll is which.
    ended = unroll.env_outputs.first.numpy()[1:]
    assert (unroll.env_outputs.truncated.numpy()[:-1] & ended).any(), "a time limit is inside"
    random = np.random.default_rng(1)
    networks = [
        NetworkOutputs(
            tf.constant(random.normal(size=(T + 1, B, A)), tf.float32),
            tf.constant(random.normal(size=(T + 1, B)), tf.float32),
        )
        for _ in range(2)
    ]

    def loss(part, indices):
        outputs, target = (NetworkOutputs(*(tf.gather(x, indices, axis=1) for x in network)) for network in networks)
        return make_algorithm(config).loss(loss_inputs(part, outputs, DISTRIBUTION, config, target=target))

    whole = loss(unroll, range(B))
    source = ReuseSource(OneBatch(unroll), Needs(minibatches=2), seed=1)
    parts = [join_groups(source.next().groups) for _ in range(2)]
    indices = [part.policy_version.numpy() for part in parts]
    losses = [loss(part, chosen) for part, chosen in zip(parts, indices, strict=True)]
    np.testing.assert_allclose(sum(part.total for part in losses), whole.total, rtol=1e-5)
    together = np.concatenate([part.advantage_tm1 for part in losses], axis=1)
    order = np.argsort(np.concatenate(indices))
    np.testing.assert_allclose(together[:, order], whole.advantage_tm1, rtol=1e-5, atol=1e-6)
