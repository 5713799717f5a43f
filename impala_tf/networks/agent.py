"""Puts torso, core and heads behind `initial_state`, `step` (acting) and `unroll` (learning) of one `Agent`."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from impala_tf.networks.cores import Core
from impala_tf.networks.heads import PolicyHead
from impala_tf.networks.moments import BatchMoments
from impala_tf.networks.normalisation import ObservationMoments, ObservationStatistics, ReturnStatistics
from impala_tf.networks.parts import belongs_to, by_part
from impala_tf.networks.popart import PopArt
from impala_tf.networks.torsos import dense
from impala_tf.spaces.distributions import ActionDistribution
from impala_tf.spaces.observation_spaces import ACTION_MASK, has_mask, leaves, zeros
from impala_tf.support.checks import check_tensor
from impala_tf.types import EnvOutput, PolicyStep


class Trunk:
    """A trunk is a torso and an optional core. It makes features of observations, the last action and reward."""

    def __init__(self, torso: keras.layers.Layer, core: Core | None):
        self.torso = torso
        self.core = core
        self.state_size = core.state_size if core else 0

    @property
    def variables(self) -> list[keras.Variable]:
        return self.torso.trainable_variables + (self.core.trainable_variables if self.core else [])


class RowMoments(NamedTuple):
    """The rows of a batch have these moments. Lists have one element, or none where no setting asks for it.

    observations: moments of observations (--normalise_observations, --centre_frames).
    returns: moments of discounted returns (--normalise_returns).
    """

    observations: list[ObservationMoments]
    returns: list[BatchMoments]


class Agent:
    """An agent has a policy and a baseline over one or two trunks.

    With one trunk both heads share its features; with two the policy has the first and the baseline the second. The
    core states of the trunks stand side by side in one tensor [B, S]; S = 0 without a core.

    distribution: the `ActionDistribution` of the action space.
    policy_init_scale: factor of the policy head's initial weights.
    seed: seed of the heads' initial weights.
    observation_statistics, return_statistics: statistics for normalising (`normalisation.py`, `popart.py`); None means
        none.

    keras_variables, variables: the weights, as Keras variables and as TensorFlow's.
    learning_variables: those of `keras_variables` that learn; all before `freeze`.
    keras_statistics, statistics: the variables of both statistics, in both forms. They are published, saved and
        exported like weights.
    """

    def __init__(
        self,
        distribution: ActionDistribution,
        trunks: list[Trunk],
        observation_space: gym.Space,
        use_last_action_and_reward: bool,
        policy_init_scale: float,
        seed: int,
        observation_statistics: ObservationStatistics | None = None,
        return_statistics: ReturnStatistics | PopArt | None = None,
    ):
        self.distribution = distribution
        self.observation_space = observation_space
        self.state_size = sum(trunk.state_size for trunk in trunks)
        self._trunks = trunks
        self._use_last_action_and_reward = use_last_action_and_reward
        self._policy_head = PolicyHead(distribution, policy_init_scale, seed)
        self._popart = return_statistics if isinstance(return_statistics, PopArt) else None
        self._baseline_head = dense(self._popart.num_tasks if self._popart else 1, seed + 1)
        self._observation_statistics = observation_statistics
        self._return_statistics = return_statistics
        self._make_variables()
        self.keras_variables = [v for trunk in trunks for v in trunk.variables]
        self.keras_variables += self._policy_head.linear.trainable_variables
        self.keras_variables += self._baseline_head.trainable_variables
        self.keras_variables += self._policy_head.free
        self.variables = [v.value for v in self.keras_variables]
        self.learning_variables = self.keras_variables
        self.keras_statistics = self._statistics_variables()
        self.statistics = [v.value for v in self.keras_statistics]

    def _make_variables(self) -> None:
        """Makes the variables by one step on zeros, for Keras layers have none before their first call."""
        observation = tf.nest.map_structure(
            lambda x: tf.convert_to_tensor(x[np.newaxis]), zeros(self.observation_space)
        )
        action = tf.zeros([1, *self.distribution.action_shape], self.distribution.action_dtype)
        first, seed = tf.ones([1], tf.bool), tf.zeros([2], tf.int32)
        self.step(observation, tf.zeros([1]), action, first, self.initial_state(1), seed)

    def _statistics_variables(self) -> list[keras.Variable]:
        """Returns moments of observations, moments of returns and mean frames, in the order of checkpoints."""
        variables = []
        if self._observation_statistics:
            variables += self._observation_statistics.moments_variables
        if self._return_statistics:
            variables += self._return_statistics.variables
        if self._observation_statistics:
            variables += self._observation_statistics.frame_variables
        return variables

    def variables_by_part(self) -> dict[str, keras.Variable]:
        """Returns all weights and statistics by PART/NAME (`parts.py`), in the order of `flat_weights`."""
        parts: dict[str, list[keras.Variable]] = {}
        for prefix, trunk in zip(("", "value_"), self._trunks, strict=False):
            parts[f"{prefix}torso"] = trunk.torso.trainable_variables
            parts[f"{prefix}core"] = trunk.core.trainable_variables if trunk.core else []
        parts["policy_head"] = [*self._policy_head.linear.trainable_variables, *self._policy_head.free]
        parts["baseline_head"] = self._baseline_head.trainable_variables
        if self._observation_statistics:
            parts["observations"] = self._observation_statistics.moments_variables
            frames = self._observation_statistics.frame_variables_of_trunks
            parts |= zip(("frames", "value_frames"), frames, strict=False)
        parts["returns"] = self._return_statistics.variables if self._return_statistics else []
        names = {id(variable): name for name, variable in by_part(parts).items()}
        return {names[id(variable)]: variable for variable in [*self.keras_variables, *self.keras_statistics]}

    def freeze(self, parts: Sequence[str]) -> None:
        """Lets the weights of these parts stay as they are (--freeze). parts: any of torso, core and heads."""
        named = self.variables_by_part()
        self.learning_variables = [
            variable
            for name, variable in list(named.items())[: len(self.keras_variables)]
            if not belongs_to(name, parts)
        ]

    def initial_state(self, batch_size: int | tf.Tensor) -> tf.Tensor:
        """Returns [batch_size, S] float32 zeros, the core state before an episode."""
        return tf.zeros([batch_size, self.state_size])

    def step(
        self, observation: Any, reward, last_action, first, core_state, seed, behaviour: Callable | None = None
    ) -> PolicyStep:
        """Acts at one row of B environments.

        observation: [B, ...] in the observation space's dtypes and form.
        reward: [B] float32, reward of the step into this row, unclipped.
        last_action: [B, ...] in the distribution's dtype, action of that step.
        first: [B] bool; where it is True, the core state, the last action and the last reward are taken as zeros.
        core_state: [B, S] float32, state before this row.
        seed: [2] int32; the same seed chooses the same actions.
        behaviour: function from the policy's parameters [B, P] to those of the distribution that acts and is returned;
            None means that the policy itself acts.
        Raises ValueError when a dtype, rank or known size is wrong.
        """
        self._check_inputs(observation, reward, last_action, first, core_state, leading=first.shape[:1])
        prepared = self._prepare(observation, reward, last_action, first)
        features, states = [], []
        for trunk, state in zip(self._trunks, self._split_state(core_state), strict=True):
            output = self._apply_torso(trunk, *prepared)
            if trunk.core:
                output, state = trunk.core.step(output, first, state)
            features.append(output)
            states.append(state)
        parameters = self._policy_parameters(features[0], observation)
        parameters = behaviour(parameters) if behaviour else parameters
        values = self._values(features[-1])
        baseline = values[:, 0] if values.shape[-1] == 1 else values
        action = self.distribution.sample(parameters, seed)
        return PolicyStep(action, parameters, baseline, tf.concat(states, axis=-1) if self.state_size else core_state)

    def unroll(
        self, observation: Any, reward, last_action, first, core_state, task: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Computes all rows of an unroll at once, with the results that `step` would have one after the other.

        observation, reward, last_action, first: [T + 1, B, ...], rows of the inputs of `step`.
        core_state: [B, S] float32, state before row 0.
        task: [B] int32, index of each environment's task; None means that there is only one.
        Returns the policy's parameters [T + 1, B, P] and the baselines [T + 1, B], both float32.
        Raises ValueError when a dtype, rank or known size is wrong.
        """
        self._check_inputs(observation, reward, last_action, first, core_state, leading=first.shape[:2])
        num_rows = tf.shape(first)[:2]
        # Only cores know of time; everything else takes all rows as one large batch, [(T + 1) * B, ...].
        prepared = self._prepare(*(merge_rows(x) for x in (observation, reward, last_action, first)))
        features = []
        for trunk, state in zip(self._trunks, self._split_state(core_state), strict=True):
            output = self._apply_torso(trunk, *prepared)
            if trunk.core:
                output = tf.reshape(output, tf.concat([num_rows, [output.shape[-1]]], axis=0))
                output = tf.ensure_shape(output, [*first.shape, output.shape[-1]])
                output = merge_rows(trunk.core.unroll(output, first, state))
            features.append(output)
        parameters = self._policy_parameters(features[0], merge_rows(observation))
        parameters = tf.reshape(parameters, tf.concat([num_rows, [self.distribution.num_parameters]], axis=0))
        values = self._values(features[-1])
        if values.shape[-1] > 1:
            each_row = tf.broadcast_to(task, num_rows)
            values = tf.reduce_sum(values * tf.one_hot(tf.reshape(each_row, [-1]), values.shape[-1]), axis=-1)
        return tf.ensure_shape(parameters, [*first.shape, None]), tf.reshape(values, num_rows)

    def _check_inputs(self, observation, reward, last_action, first, core_state, leading: Sequence) -> None:
        """Raises ValueError for a wrong input. leading: [B] or [T + 1, B], the leading dimensions of all inputs."""
        check_tensor("first", first, tf.bool, leading)
        check_tensor("reward", reward, tf.float32, leading)
        action_shape = [*leading, *self.distribution.action_shape]
        check_tensor("last_action", last_action, self.distribution.action_dtype, action_shape)
        check_tensor("core_state", core_state, tf.float32, [leading[-1], self.state_size])
        wanted = tf.nest.flatten(zeros(self.observation_space))
        parts = zip(leaves(self.observation_space), tf.nest.flatten(observation), wanted, strict=True)
        for name, given, element in parts:
            dtype = tf.as_dtype(element.dtype)
            check_tensor(f"observation {name}".rstrip(), given, dtype, [*leading, *element.shape])

    def _prepare(self, observation, reward, last_action, first) -> tuple[Any, list[tf.Tensor]]:
        """Returns the trunks' inputs at N rows: the observation, without mask and normalised, and a list of vectors.

        The vectors [N, ...] are the last action and reward; the list is empty without --use_last_action_and_reward.
        """
        observation = self._without_mask(observation)
        if self._observation_statistics:
            observation = self._observation_statistics.normalise(observation)
        if not self._use_last_action_and_reward:
            return observation, []
        # A new episode has no last action and no last reward.
        continues = tf.cast(tf.logical_not(first), tf.float32)[:, tf.newaxis]
        clipped_reward = tf.clip_by_value(reward, -1.0, 1.0)[:, tf.newaxis]
        return observation, [continues * clipped_reward, continues * self.distribution.encode(last_action)]

    def _apply_torso(self, trunk: Trunk, observation: Any, last_step: list[tf.Tensor]) -> tf.Tensor:
        """Returns the trunk's features before its core, [N, F] float32, from what `_prepare` returned."""
        return tf.concat([trunk.torso(observation), *last_step], axis=-1)

    def _policy_parameters(self, features: tf.Tensor, observation: Any) -> tf.Tensor:
        """Maps features [N, F] to parameters [N, P]; actions that the mask rules out have probability 0."""
        parameters = self._policy_head(features)
        if not has_mask(self.observation_space):
            return parameters
        mask = tf.reshape(observation[ACTION_MASK], [-1, self.distribution.mask_size])
        return self.distribution.apply_mask(parameters, mask)

    def _values(self, features: tf.Tensor) -> tf.Tensor:
        """Maps features [N, F] to values: [N, 1], or with --popart [N, K], one of each task in units of its rewards."""
        outputs = self._baseline_head(features)
        return self._popart.values(outputs) if self._popart else outputs

    def _without_mask(self, observation: Any) -> Any:
        if not has_mask(self.observation_space):
            return observation
        return {name: part for name, part in observation.items() if name != ACTION_MASK}

    def _split_state(self, core_state: tf.Tensor) -> list[tf.Tensor]:
        """[B, S] -> the state of each trunk's core."""
        if len(self._trunks) == 1:
            return [core_state]
        return tf.split(core_state, [trunk.state_size for trunk in self._trunks], axis=-1)

    def reward_scale(self, task: tf.Tensor) -> tf.Tensor | float:
        """Returns the factor of the rewards in the learner, [B] float32 for the tasks [B] int32.

        With --normalise_returns it is 1 / the standard deviation of the task's discounted returns, with --popart of the
        baseline's targets; otherwise 1.
        """
        return self._return_statistics.scale(task) if self._return_statistics else 1.0

    def value_scale(self, task: tf.Tensor) -> tf.Tensor | float:
        """Returns the factor of the values in the learner, [B] float32 for the tasks [B] int32.

        PopArt's values are in units of the rewards, so they are scaled like these. Others learn scaled rewards.
        """
        return self._popart.scale(task) if self._popart else 1.0

    @property
    def has_value_statistics(self) -> bool:
        """Returns whether the baseline's targets are normalised (--popart)."""
        return self._popart is not None

    def value_moments(self, targets: tf.Tensor, rows: EnvOutput, task: tf.Tensor) -> list[BatchMoments]:
        """Returns the moments of targets of the baseline, as a list that is empty without --popart.

        targets: [T, B] float32, scaled as `value_scale` says. rows: [T + 1, B] rows; a step into a `first` row is none.
        task: [B] int32.
        """
        if not self._popart:
            return []
        return [self._popart.moments_of(targets / self._popart.scale(task), tf.logical_not(rows.first[1:]), task)]

    def merge_value_moments(self, parts: list[BatchMoments]) -> None:
        """Takes `value_moments`, in parts [L, ...] of each learner, into their statistics; no value changes."""
        if self._popart:
            self._popart.merge(self._baseline_head, *parts)

    @property
    def has_observation_statistics(self) -> bool:
        """Returns whether observations are normalised or frames are centred."""
        statistics = self._observation_statistics
        return statistics is not None and bool(statistics.moments_variables or statistics.frame_variables)

    def row_moments(self, rows: EnvOutput, task: tf.Tensor, is_fresh: tf.Tensor) -> RowMoments:
        """Returns the moments of a batch's rows that the settings ask for.

        rows: [T + 1, B] rows. Row 0 was row T of the unroll before, so it does not count again; a `first` row has no
            return.
        task: [B] int32, index of each environment's task.
        is_fresh: [B] bool, whether the unroll is not replayed; replayed ones do not count again.
        """
        moments = RowMoments([], [])
        if self._observation_statistics:
            observation = tf.nest.map_structure(lambda x: x[1:], self._without_mask(rows.observation))
            moments.observations.append(self._observation_statistics.moments_of(observation, is_fresh))
        if isinstance(self._return_statistics, ReturnStatistics):
            valid = tf.logical_not(rows.first[1:]) & is_fresh
            moments.returns.append(self._return_statistics.moments_of(rows.discounted_return[1:], valid, task))
        return moments

    def merge_return_moments(self, parts: RowMoments) -> None:
        """Takes the discounted returns of rows, in parts [L, ...] of each learner, into the statistics."""
        if isinstance(self._return_statistics, ReturnStatistics):
            self._return_statistics.merge(*parts.returns)

    def merge_observation_moments(self, parts: RowMoments) -> None:
        """Takes the observations of rows, in parts [L, ...] of each learner, into the statistics."""
        if self._observation_statistics:
            self._observation_statistics.merge(*parts.observations)

    def flat_weights(self) -> tf.Tensor:
        """Returns all weights and statistics as one vector, [num_parameters] float32, which is published."""
        return tf.concat([tf.reshape(v, [-1]) for v in [*self.variables, *self.statistics]], axis=0)

    def assign_flat_weights(self, flat: tf.Tensor) -> None:
        """Inverts `flat_weights`: gives the variables the values of the vector."""
        for variable, value in zip([*self.variables, *self.statistics], self._unflatten(flat), strict=True):
            variable.assign(value)

    def with_flat_weights(self, flat: tf.Tensor) -> keras.StatelessScope:
        """Returns a context in which the networks compute with the weights [num_parameters] instead of their variables.

        So one graph serves any weights. Code in the context reads variables by their `value`, as layers do.
        """
        variables = [*self.keras_variables, *self.keras_statistics]
        return keras.StatelessScope(list(zip(variables, self._unflatten(flat), strict=True)))

    def _unflatten(self, flat: tf.Tensor) -> list[tf.Tensor]:
        """Returns the weights and statistics of a vector as `flat_weights` makes it, one by one, in their shapes."""
        shapes = [v.shape for v in [*self.variables, *self.statistics]]
        pieces = tf.split(flat, [shape.num_elements() for shape in shapes])
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, shapes, strict=True)]


def merge_rows(nest: Any) -> Any:
    """[T, B, ...] -> [T * B, ...] for each tensor of a nest."""
    return tf.nest.map_structure(lambda x: tf.reshape(x, tf.concat([[-1], tf.shape(x)[2:]], axis=0)), nest)
