"""Computes convolutions in the forms that are fastest on a CPU, with the variables of plain convolutions."""

from typing import NamedTuple

import keras
import tensorflow as tf


class FrameSums(NamedTuple):
    """Frames add this to the mean frame.

    num: [] float32, number of frames. distance: [height, width, channels] float32, sum of their distances to the mean.
    """

    num: tf.Tensor
    distance: tf.Tensor


class Convolution(keras.layers.Conv2D):
    """This is Keras' Conv2D with the same variables; uint8 (frames) is divided by 255, other types become float32.

    [N, height, width, channels] -> [N, new height, new width, filters] float32.

    Where TensorFlow sees no GPU while it traces, `strided_convolution` computes the convolutions that it is made for.

    centred: whether the mean frame, a statistic that is not trained, is subtracted from frames.
    """

    def __init__(self, *arguments, centred: bool = False, **settings):
        super().__init__(*arguments, **settings)
        self.centred = centred

    def build(self, input_shape):
        super().build(input_shape)
        if self.centred:
            self.mean_frame = self.add_weight(shape=input_shape[1:], initializer="zeros", trainable=False)
            self.num_frames = self.add_weight(shape=(), initializer="zeros", trainable=False)

    @property
    def statistics(self) -> list:
        """Returns the mean frame and the number of frames behind it; none without `centred`."""
        return [self.mean_frame, self.num_frames] if self.centred else []

    def frames_of(self, frames: tf.Tensor, counts: tf.Tensor) -> FrameSums:
        """Returns what frames [N, height, width, channels] uint8 add to the mean; all that ever counted count alike.

        counts: [N] bool, whether the frame counts.
        """
        weights = tf.cast(counts, tf.float32)
        num = tf.reduce_sum(weights)
        distance = tf.tensordot(weights, tf.cast(frames, tf.float32), 1) - num * self.mean_frame.value
        return FrameSums(num, distance)

    def merge_frames(self, parts: FrameSums) -> None:
        """Takes frames, in parts [L, ...] of each learner, into the mean."""
        num, distance = (tf.reduce_sum(part, axis=0) for part in parts)
        total = self.num_frames.value + num
        self.mean_frame.value.assign_add(distance / tf.maximum(total, 1.0))
        self.num_frames.value.assign(total)

    def convolution_op(self, inputs, kernel):
        """Computes the convolution without the bias, which Keras adds to it."""
        if inputs.dtype == tf.uint8:
            # Dividing the kernel is cheaper than dividing the frames. Frames need no gradient.
            kernel = kernel / 255.0
            outputs = super().convolution_op(tf.cast(inputs, tf.float32), kernel)
            if self.centred:  # A convolution is linear, so that of the mean frame is computed once.
                outputs -= super().convolution_op(self.mean_frame.value[tf.newaxis], kernel)
            return outputs
        inputs = tf.cast(inputs, tf.float32)
        if self._strides_in_blocks(inputs) and not tf.config.list_physical_devices("GPU"):
            return strided_convolution(inputs, tf.convert_to_tensor(kernel), self.strides[0])
        return super().convolution_op(inputs, kernel)

    def _strides_in_blocks(self, inputs: tf.Tensor) -> bool:
        """Returns whether `strided_convolution` computes this convolution."""
        stride = self.strides[0]
        return (
            stride == self.strides[1] > 1
            and all(size % stride == 0 for size in self.kernel_size)
            and inputs.shape[1:].is_fully_defined()
            and (self.padding, self.data_format, self.groups) == ("valid", "channels_last", 1)
            and tuple(self.dilation_rate) == (1, 1)
        )


def strided_convolution(inputs: tf.Tensor, kernel: tf.Tensor, stride: int) -> tf.Tensor:
    """Convolves without padding; the gradient to the inputs is computed in blocks of stride x stride pixels.

    inputs: [N, height, width, C] float32; only N may be unknown.
    kernel: [rows, columns, C, F] float32, rows and columns multiples of stride.
    Returns [N, new height, new width, F] float32.

    With each block as one pixel of stride * stride * C channels this is a convolution of stride 1, and the gradient to
    its inputs takes oneDNN about half the time. The other two passes are faster as they are.
    """
    _, height, width, channels = inputs.shape
    rows, columns, _, filters = kernel.shape

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradients(upstream):
            block = stride * stride * channels
            blocks_kernel = tf.reshape(kernel, [rows // stride, stride, columns // stride, stride, channels, filters])
            blocks_kernel = tf.transpose(blocks_kernel, [0, 2, 1, 3, 4, 5])
            blocks_kernel = tf.reshape(blocks_kernel, [rows // stride, columns // stride, block, filters])
            shape = [tf.shape(upstream)[0], height // stride, width // stride, block]
            blocks = tf.nn.conv2d_transpose(upstream, blocks_kernel, shape, strides=1, padding="VALID")
            pixels = tf.nn.depth_to_space(blocks, stride)
            # The kernel does not reach rows and columns that fill no block.
            pixels = tf.pad(pixels, [[0, 0], [0, height % stride], [0, width % stride], [0, 0]])
            to_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=inputs,
                filter_sizes=kernel.shape,
                out_backprop=upstream,
                strides=[1, stride, stride, 1],
                padding="VALID",
            )
            return pixels, to_kernel

        return tf.nn.conv2d(inputs, kernel, stride, "VALID"), gradients

    return convolve(inputs, kernel)
