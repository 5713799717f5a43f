"""The seed of an export's sampled actions, and exports of before there was one."""

import json

import gymnasium as gym
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.evaluation.agent_player import AgentPlayer
from impala_tf.evaluation.export import ExportedAgent, export
from impala_tf.networks import make_agent
from impala_tf.records.exports import INFO_FILE

OBSERVATION = gym.spaces.Box(-1, 1, (4,), np.float32)


def rows(batch_size=64):
    return (
        np.zeros([batch_size, 4], np.float32),
        np.zeros(batch_size, np.float32),
        np.zeros(batch_size, np.int64),
        np.zeros(batch_size, bool),
    )


def test_a_seed_decides_the_actions_of_agents_and_exports(tmp_path):
    agent = make_agent(Config(), OBSERVATION, gym.spaces.Discrete(3))
    export(agent, tmp_path / "saved_model", info={})
    samples = []
    for player in (AgentPlayer(agent), ExportedAgent(tmp_path / "saved_model")):
        state = player.initial_state(64)

        def sample(seed, player=player, state=state):
            return player.step(*rows(), state, np.int32(seed))["action"].numpy()

        samples.append(sample([1, 2]))
        np.testing.assert_array_equal(sample([1, 2]), samples[-1])
        assert np.any(sample([1, 3]) != samples[-1])
        assert np.any(sample([2, 2]) != samples[-1])
    np.testing.assert_array_equal(*samples)


class WithoutSeed(tf.Module):
    """The signatures of an export of before, which samples by itself."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32, name="batch_size")])
    def initial_state(self, batch_size):
        return {"core_state": tf.zeros([batch_size, 0])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 4], tf.float32, name="observation"),
            tf.TensorSpec([None], tf.float32, name="reward"),
            tf.TensorSpec([None], tf.int64, name="last_action"),
            tf.TensorSpec([None], tf.bool, name="first"),
            tf.TensorSpec([None, 0], tf.float32, name="core_state"),
        ]
    )
    def step(self, observation, reward, last_action, first, core_state):
        return {"action": last_action + 1, "core_state": core_state}


def test_an_export_without_a_seed_is_played(tmp_path):
    module = WithoutSeed()
    signatures = dict(initial_state=module.initial_state, step=module.step)
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    (tmp_path / INFO_FILE).write_text(json.dumps(dict(observation=["observation"])))
    agent = ExportedAgent(tmp_path)
    step = agent.step(*rows(), agent.initial_state(64), np.int32([1, 2]))
    assert step["action"].numpy().tolist() == [1] * 64
