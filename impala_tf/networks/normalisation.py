"""Keeps statistics of observations and returns, which are published, saved and exported like weights."""

from typing import Any, NamedTuple

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from impala_tf.networks.convolutions import Convolution, FrameSums
from impala_tf.networks.moments import BatchMoments, batch_moments, joined, moments_by_task, only_own
from impala_tf.networks.torsos import as_images
from impala_tf.spaces.observation_spaces import is_normalised, leaves
from impala_tf.support.checks import check_tensor

MAX_DEVIATIONS = 10.0  # Normalised values are clipped here.
SMALLEST_VARIANCE = 1e-8


class RunningMoments:
    """This keeps the mean and variance of all values ever given to it, with equal weights (Chan et al. 1983).

    shape: shape of one value.
    count_shape: leading part of `shape`; values are counted for each entry of it separately.

    mean, variance: `shape`, float32. count: `count_shape`, float32. None of them is trained. Before the first `update`
    the mean is 0 and the variance 1, so that `normalise` only clips.
    """

    def __init__(self, shape: tuple[int, ...], name: str, count_shape: tuple[int, ...] = ()):
        def variable(initial: np.ndarray, what: str) -> keras.Variable:
            return keras.Variable(initial.astype(np.float32), trainable=False, name=f"{name}_{what}")

        self._count_shape = count_shape
        self.mean = variable(np.zeros(shape), "mean")
        self.variance = variable(np.ones(shape), "variance")
        self.count = variable(np.zeros(count_shape), "count")

    @property
    def variables(self) -> list[keras.Variable]:
        return [self.mean, self.variance, self.count]

    def update(self, values: tf.Tensor, valid: tf.Tensor) -> None:
        """Merges the moments of a batch into those of everything before; see `moments_of`."""
        self.merge(only_own(self.moments_of(values, valid)))

    def moments_of(self, values: tf.Tensor, valid: tf.Tensor) -> BatchMoments:
        """Returns the moments of a batch.

        values: [N, *shape] of any number type, values of the batch.
        valid: [N, *count_shape] bool, whether each value counts.

        Raises ValueError when a dtype, rank or known size is wrong.
        """
        check_tensor("values", values, None, [None, *self.mean.shape])
        check_tensor("valid", valid, tf.bool, [values.shape[0], *self._count_shape])
        return batch_moments(values, valid)

    def merge(self, parts: BatchMoments) -> None:
        """Merges the moments of a batch, in parts [L, ...] of each learner, into those of everything before."""
        num, batch_mean, batch_variance = joined(parts)
        mean, variance, count = self.mean.value, self.variance.value, self.count.value
        # Axes of a value behind count_shape share one count; this index adds these axes.
        more_axes = (..., *[tf.newaxis] * (mean.shape.rank - count.shape.rank))
        share = (num / tf.maximum(count + num, 1.0))[more_axes]
        delta = batch_mean - mean
        # The ones that the variance starts with have no weight: the count is 0 and the share 1.
        merged = variance * (1.0 - share) + batch_variance * share + tf.square(delta) * share * (1.0 - share)
        variance.assign(merged)
        mean.assign(mean + delta * share)
        count.assign(count + num)

    def scale(self) -> tf.Tensor:
        """Returns 1 / standard deviation, [*shape] float32; 1 for what has never varied, such as returns of 0."""
        variance = self.variance.value
        return tf.where(variance > 0, tf.math.rsqrt(tf.maximum(variance, SMALLEST_VARIANCE)), 1.0)

    def normalise(self, values: tf.Tensor) -> tf.Tensor:
        """Maps values [N, *shape] to (value - mean) / standard deviation, clipped to +-MAX_DEVIATIONS; float32."""
        check_tensor("values", values, None, [None, *self.mean.shape])
        normalised = (tf.cast(values, tf.float32) - self.mean.value) * self.scale()
        return tf.clip_by_value(normalised, -MAX_DEVIATIONS, MAX_DEVIATIONS)


class ObservationMoments(NamedTuple):
    """Rows of observations have these moments, of the parts that are normalised and of the frames that are centred."""

    numbers: list[BatchMoments]
    frames: list[FrameSums]


class ObservationStatistics:
    """These statistics normalise the torsos' inputs.

    They are moments of numbers (--normalise_observations) and mean frames (--centre_frames).

    space: observation space without an action mask.
    normalise_numbers: whether numbers are normalised. Frames, which are bytes, keep their scale.
    centred: convolutions of each torso that subtract the mean frame, by the position of their part in
        tf.nest.flatten of the observation (`encoders.centred_convolutions`).
    """

    def __init__(self, space: gym.Space, normalise_numbers: bool, centred: list[dict[int, Convolution]]):
        self._centred = centred
        self._moments = {
            i: RunningMoments(part.shape, name or "observation")
            for i, (name, part) in enumerate(leaves(space).items())
            if normalise_numbers and is_normalised(part) and part.shape is not None
        }

    @property
    def moments_variables(self) -> list[keras.Variable]:
        return [v for moments in self._moments.values() for v in moments.variables]

    @property
    def frame_variables(self) -> list[keras.Variable]:
        """Returns the mean frames and their counts; there are none before the convolutions are built."""
        return [v for variables in self.frame_variables_of_trunks for v in variables]

    @property
    def frame_variables_of_trunks(self) -> list[list[keras.Variable]]:
        """Returns `frame_variables` for each trunk by itself."""
        return [[v for layer in convolutions.values() for v in layer.statistics] for convolutions in self._centred]

    def normalise(self, observation: Any) -> Any:
        """Normalises the numbers in observations [N, ...]; convolutions subtract the mean frames by themselves."""
        parts = tf.nest.flatten(observation)
        for i, moments in self._moments.items():
            parts[i] = moments.normalise(parts[i])
        return tf.nest.pack_sequence_as(observation, parts)

    def moments_of(self, observation: Any, counts: tf.Tensor) -> ObservationMoments:
        """Returns the moments of rows of observations [T, B, ...]. counts: [B] bool, which environments count."""
        parts = tf.nest.flatten(observation)
        frames = [
            # One row is enough: frames change little.
            convolution.frames_of(as_images(parts[i][-1]), counts)
            for convolutions in self._centred
            for i, convolution in convolutions.items()
        ]
        numbers = []
        for i, moments in self._moments.items():
            values = tf.reshape(parts[i], [-1, *parts[i].shape[2:]])
            each_row = tf.reshape(tf.broadcast_to(counts, tf.shape(parts[i])[:2]), [-1])
            numbers.append(moments.moments_of(values, each_row))
        return ObservationMoments(numbers, frames)

    def merge(self, parts: ObservationMoments) -> None:
        """Takes the moments of rows, in parts [L, ...] of each learner, into the statistics."""
        convolutions = [layer for of_torso in self._centred for layer in of_torso.values()]
        for convolution, frames in zip(convolutions, parts.frames, strict=True):
            convolution.merge_frames(frames)
        for moments, numbers in zip(self._moments.values(), parts.numbers, strict=True):
            moments.merge(numbers)


class ReturnStatistics:
    """This keeps moments of discounted returns for each task separately (--normalise_returns).

    One standard deviation for all tasks would leave those with small returns without a gradient.
    """

    def __init__(self, num_tasks: int):
        self._num_tasks = num_tasks
        self._moments = RunningMoments((num_tasks,), "returns", (num_tasks,))

    @property
    def variables(self) -> list[keras.Variable]:
        return self._moments.variables

    def scale(self, task: tf.Tensor) -> tf.Tensor:
        """Returns [B] float32, 1 / standard deviation of the returns of the tasks [B] int32; 1 before returns vary."""
        return tf.gather(self._moments.scale(), task)

    def moments_of(self, discounted_return: tf.Tensor, valid: tf.Tensor, task: tf.Tensor) -> BatchMoments:
        """Returns the moments of a batch of returns; arguments as of `moments_by_task`."""
        return moments_by_task(discounted_return, valid, task, self._num_tasks)

    def merge(self, parts: BatchMoments) -> None:
        """Merges the moments of a batch, in parts [L, ...] of each learner, into those of everything before."""
        self._moments.merge(parts)
