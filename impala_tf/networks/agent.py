"""The agent: torso, core and heads behind `initial_state`, `step` (acting) and `unroll` (learning)."""

from collections.abc import Callable

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks.cores import Core, make_core
from impala_tf.networks.encoders import centred_convolutions, make_torso, own_torso
from impala_tf.networks.normalisation import RunningMoments
from impala_tf.networks.torsos import as_images, dense
from impala_tf.spaces import distributions
from impala_tf.spaces.observation_spaces import ACTION_MASK, has_mask, is_normalised, leaves, without_mask, zeros
from impala_tf.types import EnvOutput, PolicyStep


class Trunk:
    """A torso, the optional last action and reward, and an optional core: observations in, features out."""

    def __init__(self, torso: keras.layers.Layer, core: Core | None):
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
        normalise_observations: bool = False,
        normalise_returns: bool = False,
        num_tasks: int = 1,
    ):
        self.distribution = distribution
        self.observation_space = observation_space
        self._trunks = trunks
        self._use_last_action_and_reward = use_last_action_and_reward
        self._policy_head = dense(
            distribution.num_parameters - distribution.num_free_parameters, seed, scale=policy_init_scale
        )
        free = keras.Variable(np.zeros(distribution.num_free_parameters, np.float32), name="free_parameters")
        self._free_parameters = [free] if distribution.num_free_parameters else []
        self._baseline_head = dense(1, seed + 1)
        self._has_mask = has_mask(observation_space)
        self._moments = _moments(without_mask(observation_space)) if normalise_observations else {}
        # One spread for all tasks would leave those with small returns without a gradient.
        self._returns = RunningMoments((num_tasks,), "returns", (num_tasks,)) if normalise_returns else None
        self.state_size = sum(trunk.state_size for trunk in trunks)
        self._build()
        self.variables = [v.value for trunk in trunks for v in trunk.variables]
        self.keras_variables = [v for trunk in trunks for v in trunk.variables]
        for head in (self._policy_head, self._baseline_head):
            self.keras_variables += head.trainable_variables
            self.variables += [v.value for v in head.trainable_variables]
        self.keras_variables += self._free_parameters
        self.variables += [v.value for v in self._free_parameters]
        self.statistics = [v.value for moments in self._all_moments() for v in moments.variables]
        self._centred = [centred_convolutions(trunk.torso) for trunk in trunks]
        centred = [convolution for of_trunk in self._centred for convolution in of_trunk.values()]
        self.statistics += [v.value for convolution in centred for v in convolution.statistics]

    def _build(self) -> None:
        """Makes the variables by one step on zeros."""
        observation = tf.nest.map_structure(
            lambda x: tf.convert_to_tensor(x[np.newaxis]), zeros(self.observation_space)
        )
        action = tf.zeros([1, *self.distribution.action_shape], self.distribution.action_dtype)
        self.step(
            observation, tf.zeros([1]), action, tf.ones([1], tf.bool), self.initial_state(1), tf.zeros([2], tf.int32)
        )

    def initial_state(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """[batch_size, S] float32 zeros, the core state before an episode."""
        return tf.zeros([batch_size, self.state_size])

    def step(self, observation, reward, last_action, first, core_state, seed) -> PolicyStep:
        """One row of B environments.

        observation: [B, ...]. reward: [B] float32, of the step into this row. last_action: [B, ...], of that step.
        first: [B] bool, the core state and the last action and reward are taken as zeros here.
        core_state: [B, S] float32, before this row. seed: [2] int32; the same seed chooses the same actions.
        """
        features, states = [], []
        for trunk, state in zip(self._trunks, self._split(core_state), strict=True):
            output = self._encode(trunk, observation, reward, last_action, first)
            if trunk.core:
                output, state = trunk.core.step(output, first, state)
            features.append(output)
            states.append(state)
        parameters = self._parameters(features[0], observation)
        baseline = self._baseline_head(features[-1])[:, 0]
        action = self.distribution.sample(parameters, seed)
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
        parameters = self._parameters(features[0], _merge_rows(observation))
        baselines = self._baseline_head(features[-1])
        parameters = tf.reshape(parameters, tf.concat([rows, [self.distribution.num_parameters]], axis=0))
        return tf.ensure_shape(parameters, [*static_rows, None]), tf.reshape(baselines, rows)

    def _parameters(self, features: tf.Tensor, observation) -> tf.Tensor:
        """[N, F] -> [N, P], of the action distribution; what the observation's mask rules out has probability 0."""
        parameters = self._policy_head(features)
        if self._free_parameters:
            parameters = distributions.with_free_parameters(parameters, self._free_parameters[0].value)
        if self._has_mask:
            mask = observation[ACTION_MASK]
            size = self.distribution.mask_size
            parameters = self.distribution.apply_mask(parameters, tf.reshape(mask, [-1, size]))
        return parameters

    def _without_mask(self, observation):
        if not self._has_mask:
            return observation
        return {name: part for name, part in observation.items() if name != ACTION_MASK}

    def _prepared(self, observation):
        """What the torsos get: without the mask, and normalised."""
        observation = self._without_mask(observation)
        if not self._moments:
            return observation
        parts = tf.nest.flatten(observation)
        for i, moments in self._moments.items():
            parts[i] = moments.normalise(parts[i])
        return tf.nest.pack_sequence_as(observation, parts)

    def _all_moments(self) -> list[RunningMoments]:
        return [*self._moments.values(), *([self._returns] if self._returns else [])]

    def reward_scale(self, task: tf.Tensor) -> tf.Tensor | float:
        """What the learner multiplies rewards by: with --normalise_returns 1 / the spread of the task's discounted
        returns, [B] for the tasks [B]."""
        return tf.gather(self._returns.scale(), task) if self._returns else 1.0

    def update_return_statistics(self, rows: EnvOutput, task: tf.Tensor) -> None:
        """Takes the discounted returns of an unroll into their moments (--normalise_returns; else nothing happens).

        rows: [T + 1, B] rows. Row 0 was row T of the unroll before, so it does not count again; a `first` row has no
            return. task: [B] int32, the task of each environment.
        """
        if not self._returns:
            return
        num_tasks = self._returns.variables[0].shape[0]
        of_task = tf.one_hot(task, num_tasks, on_value=True, off_value=False)  # [B, num_tasks]
        counts = tf.logical_not(rows.first[1:])[..., tf.newaxis] & of_task
        returns = tf.reshape(rows.discounted_return[1:], [-1, 1])
        self._returns.update(returns, tf.reshape(counts, [-1, num_tasks]))

    def update_observation_statistics(self, rows: EnvOutput) -> None:
        """Takes the observations of an unroll into their moments (--normalise_observations) and into the mean frames
        (--centre_frames); without these settings nothing happens.

        rows: [T + 1, B] rows. Row 0 was row T of the unroll before, so it does not count again.
        """
        observation = tf.nest.map_structure(lambda x: x[1:], self._without_mask(rows.observation))
        for of_trunk in self._centred:
            last_row = [part[-1] for part in tf.nest.flatten(observation)]  # Frames change little; it is enough.
            for i, convolution in of_trunk.items():
                convolution.update_mean_frame(as_images(last_row[i]))
        if self._moments:
            parts = tf.nest.flatten(_merge_rows(observation))
            for i, moments in self._moments.items():
                moments.update(parts[i], tf.ones([tf.shape(parts[i])[0]], tf.bool))

    def _encode(self, trunk: Trunk, observation, reward, last_action, first) -> tf.Tensor:
        features = trunk.torso(self._prepared(observation))
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
        """All weights and statistics as one vector, [num_parameters] float32: the form in which they are published."""
        return tf.concat([tf.reshape(v, [-1]) for v in [*self.variables, *self.statistics]], axis=0)

    def assign_flat_weights(self, flat: tf.Tensor) -> None:
        """The inverse of `flat_weights`."""
        variables = [*self.variables, *self.statistics]
        pieces = tf.split(flat, [v.shape.num_elements() for v in variables])
        for variable, piece in zip(variables, pieces, strict=True):
            variable.assign(tf.reshape(piece, variable.shape))


def _merge_rows(nest):
    """[T, B, ...] -> [T * B, ...] for each tensor of a nest."""
    return tf.nest.map_structure(lambda x: tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0)), nest)


def make_agent(
    config: Config,
    observation_space: gym.Space,
    action_space: gym.Space,
    torso_of: Callable | None = None,
    num_tasks: int = 1,
) -> Agent:
    """A freshly initialised agent with the network that `config` describes.

    torso_of: makes a torso from the observation space, instead of --network. num_tasks: --normalise_returns keeps a
    spread for each.
    """
    trunks = []
    for i in range(2 if config.separate_value_network else 1):
        seed = 1000 * config.seed + 100 * i  # A torso uses fewer than 100 seeds.
        core = make_core(config, seed + 50)
        seen = without_mask(observation_space)
        torso = own_torso(torso_of, seen, "make_torso") if torso_of else make_torso(config, seen, seed)
        trunks.append(Trunk(torso, core))
    return Agent(
        distributions.for_space(action_space, config),
        trunks,
        observation_space,
        config.use_last_action_and_reward,
        config.policy_init_scale,
        seed=1000 * config.seed + 200,
        normalise_observations=config.normalise_observations,
        normalise_returns=config.normalise_returns,
        num_tasks=num_tasks,
    )


def _moments(space: gym.Space) -> dict[int, RunningMoments]:
    """For each part of numbers, by its place in tf.nest.flatten; frames, of bytes, keep their scale."""
    parts = enumerate(leaves(space).items())
    return {
        i: RunningMoments(part.shape, name or "observation")
        for i, (name, part) in parts
        if is_normalised(part) and part.shape is not None
    }
