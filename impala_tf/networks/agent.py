"""The agent: torso, core and heads behind `initial_state`, `step` (acting) and `unroll` (learning)."""

from collections.abc import Callable

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from impala_tf import distributions
from impala_tf.config import Config
from impala_tf.networks.cores import LSTMCore
from impala_tf.networks.encoders import make_torso
from impala_tf.networks.torsos import dense
from impala_tf.spaces import zeros
from impala_tf.types import PolicyStep


class Trunk:
    """A torso, the optional last action and reward, and an optional core: observations in, features out."""

    def __init__(self, torso: keras.layers.Layer, core: LSTMCore | None):
        self.torso = torso
        self.core = core
        self.state_size = core.state_size if core else 0

    @property
    def variables(self) -> list:
        return self.torso.trainable_variables + (self.core.trainable_variables if self.core else [])


class Agent:
    """Policy and baseline over one or two trunks.

    With one trunk both heads share its features; with two the baseline has its own. The core states of the trunks
    stand side by side in one tensor [B, S]; S = 0 without a core.
    """

    def __init__(
        self,
        distribution: distributions.ActionDistribution,
        trunks: list[Trunk],
        observation_space: gym.Space,
        use_last_action_and_reward: bool,
        policy_init_scale: float,
        seed: int,
    ):
        self.distribution = distribution
        self.observation_space = observation_space
        self._trunks = trunks
        self._use_last_action_and_reward = use_last_action_and_reward
        self._policy_head = dense(distribution.num_parameters, seed, scale=policy_init_scale)
        self._baseline_head = dense(1, seed + 1)
        self.state_size = sum(trunk.state_size for trunk in trunks)
        self._build()
        self.variables = [v.value for trunk in trunks for v in trunk.variables]
        self.keras_variables = [v for trunk in trunks for v in trunk.variables]
        for head in (self._policy_head, self._baseline_head):
            self.keras_variables += head.trainable_variables
            self.variables += [v.value for v in head.trainable_variables]

    def _build(self) -> None:
        """Makes the variables by one step on zeros."""
        observation = tf.nest.map_structure(
            lambda x: tf.convert_to_tensor(x[np.newaxis]), zeros(self.observation_space)
        )
        action = tf.zeros([1, *self.distribution.action_shape], self.distribution.action_dtype)
        self.step(observation, tf.zeros([1]), action, tf.ones([1], tf.bool), self.initial_state(1))

    def initial_state(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """[batch_size, S] float32 zeros, the core state before an episode."""
        return tf.zeros([batch_size, self.state_size])

    def step(self, observation, reward, last_action, first, core_state, seed: int | None = None) -> PolicyStep:
        """One row of B environments.

        observation: [B, ...]. reward: [B] float32, of the step into this row. last_action: [B, ...], of that step.
        first: [B] bool, the core state and the last action and reward are taken as zeros here.
        core_state: [B, S] float32, before this row. seed: of the sampling op; None is different every time.
        """
        features, states = [], []
        for trunk, state in zip(self._trunks, self._split(core_state), strict=True):
            output = self._encode(trunk, observation, reward, last_action, first)
            if trunk.core:
                output, state = trunk.core.step(output, first, state)
            features.append(output)
            states.append(state)
        parameters = self._policy_head(features[0])
        baseline = self._baseline_head(features[-1])[:, 0]
        action = self.distribution.sample(parameters, seed=seed)
        return PolicyStep(action, parameters, baseline, tf.concat(states, axis=-1) if self.state_size else core_state)

    def unroll(self, observation, reward, last_action, first, core_state) -> tuple[tf.Tensor, tf.Tensor]:
        """All rows of an unroll at once: [T + 1, B, ...] inputs as in `step`, core_state [B, S] before row 0.

        Returns the policy's parameters [T + 1, B, P] and the baselines [T + 1, B], both float32.
        """
        rows = tf.shape(first)[:2]
        static_rows = first.shape[:2]
        features = []
        for trunk, state in zip(self._trunks, self._split(core_state), strict=True):
            flat = (_merge_rows(x) for x in (observation, reward, last_action, first))
            output = self._encode(trunk, *flat)
            if trunk.core:
                output = tf.reshape(output, tf.concat([rows, [output.shape[-1]]], axis=0))
                output = tf.ensure_shape(output, [*static_rows, output.shape[-1]])
                output = _merge_rows(trunk.core.unroll(output, first, state))
            features.append(output)
        parameters = self._policy_head(features[0])
        baselines = self._baseline_head(features[-1])
        parameters = tf.reshape(parameters, tf.concat([rows, [self.distribution.num_parameters]], axis=0))
        return tf.ensure_shape(parameters, [*static_rows, None]), tf.reshape(baselines, rows)

    def _encode(self, trunk: Trunk, observation, reward, last_action, first) -> tf.Tensor:
        features = trunk.torso(observation)
        if not self._use_last_action_and_reward:
            return features
        # A new episode has no last action and no last reward.
        continues = tf.cast(tf.logical_not(first), tf.float32)[:, tf.newaxis]
        clipped_reward = tf.clip_by_value(reward, -1.0, 1.0)[:, tf.newaxis]
        action = self.distribution.encode(last_action)
        return tf.concat([features, continues * clipped_reward, continues * action], axis=-1)

    def _split(self, core_state: tf.Tensor) -> list[tf.Tensor]:
        if len(self._trunks) == 1:
            return [core_state]
        return tf.split(core_state, [trunk.state_size for trunk in self._trunks], axis=-1)

    def flat_weights(self) -> tf.Tensor:
        """All weights as one vector, [num_parameters] float32: the form in which they are published."""
        return tf.concat([tf.reshape(v, [-1]) for v in self.variables], axis=0)

    def assign_flat_weights(self, flat: tf.Tensor) -> None:
        """The inverse of `flat_weights`."""
        pieces = tf.split(flat, [v.shape.num_elements() for v in self.variables])
        for variable, piece in zip(self.variables, pieces, strict=True):
            variable.assign(tf.reshape(piece, variable.shape))


def _merge_rows(nest):
    """[T, B, ...] -> [T * B, ...] for each tensor of a nest."""
    return tf.nest.map_structure(lambda x: tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0)), nest)


def make_agent(
    config: Config, observation_space: gym.Space, action_space: gym.Space, torso_of: Callable | None = None
) -> Agent:
    """A freshly initialised agent with the network that `config` describes.

    torso_of: makes a torso from the observation space, instead of --network.
    """
    trunks = []
    for i in range(2 if config.separate_value_network else 1):
        seed = 1000 * config.seed + 100 * i  # A torso uses fewer than 100 seeds.
        core = LSTMCore(config.core_size, seed + 50) if config.core == "lstm" else None
        torso = torso_of(observation_space) if torso_of else make_torso(config, observation_space, seed)
        trunks.append(Trunk(torso, core))
    return Agent(
        distributions.for_space(action_space),
        trunks,
        observation_space,
        config.use_last_action_and_reward,
        config.policy_init_scale,
        seed=1000 * config.seed + 200,
    )
