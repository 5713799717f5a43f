"""Has the torsos, which map observations [N, ...] to features [N, F] float32. They know nothing of time."""

import keras
import tensorflow as tf

from impala_tf.networks.convolutions import Convolution
from impala_tf.spaces.observation_spaces import has_channels_first


class FanInTruncatedNormal(keras.initializers.Initializer):
    """Draws from a truncated normal with stddev scale / sqrt(fan_in), as the paper's networks do (biases are 0).

    Keras' VarianceScaling would divide by the stddev that truncation leaves; this does not.
    """

    def __init__(self, seed: int, scale: float = 1.0):
        self.seed = seed
        self.scale = scale

    def __call__(self, shape, dtype=None):
        fan_in = 1
        for size in shape[:-1]:
            fan_in *= size
        return keras.random.truncated_normal(shape, stddev=self.scale * fan_in**-0.5, dtype=dtype, seed=self.seed)

    def get_config(self):
        return {"seed": self.seed, "scale": self.scale}


def dense(units: int, seed: int, activation: str | None = None, scale: float = 1.0) -> keras.layers.Dense:
    """Returns a fully connected layer with the paper's initialisation; `scale` multiplies its initial weights."""
    return keras.layers.Dense(units, activation=activation, kernel_initializer=FanInTruncatedNormal(seed, scale))


def _conv(
    filters: int, kernel: int, seed: int, strides: int = 1, padding: str = "valid", centred: bool = False
) -> Convolution:
    """Returns a convolution with square kernels and the paper's initialisation."""
    initializer = FanInTruncatedNormal(seed)
    return Convolution(
        filters, kernel, strides=strides, padding=padding, kernel_initializer=initializer, centred=centred
    )


def as_floats(observation: tf.Tensor) -> tf.Tensor:
    """Returns the observation as float32; uint8 (frames) is divided by 255."""
    if observation.dtype == tf.uint8:
        return tf.cast(observation, tf.float32) / 255.0
    return tf.cast(observation, tf.float32)


def as_images(observation: tf.Tensor) -> tf.Tensor:
    """Returns images as [N, height, width, channels], also of those with channels first (ALE). The dtype stays."""
    height, width, channels = observation.shape[1:]
    if has_channels_first(observation.shape[1:]):
        channels, height, width = height, width, channels
        # Pixels are flat here, because TensorFlow takes half as long again to transpose four axes.
        pixels = tf.transpose(tf.reshape(observation, [-1, channels, height * width]), [0, 2, 1])
        return tf.reshape(pixels, [-1, height, width, channels])
    return observation


class MLPTorso(keras.layers.Layer):
    """Applies fully connected layers with the activation to the flattened observation, [N, ...] -> [N, sizes[-1]]."""

    def __init__(self, sizes: tuple[int, ...], activation: str, seed: int):
        super().__init__()
        self._layers_in_order = [dense(size, seed + i, activation) for i, size in enumerate(sizes)]

    def call(self, observation):
        features = tf.reshape(as_floats(observation), [-1, observation.shape[1:].num_elements()])
        for layer in self._layers_in_order:
            features = layer(features)
        return features


# Each network has convolutions without padding, (filters, kernel size, stride), and the units of the fully connected
# layer behind them.
SHALLOW = (((16, 8, 4), (32, 4, 2)), 256)  # Figure 3, left.
NATURE = (((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512)  # Mnih et al. 2015.
MINATAR = (((16, 3, 1),), 128)  # Young & Tian 2019.


class ConvolutionalTorso(keras.layers.Layer):
    """Applies convolutions with ReLU and a fully connected layer with ReLU, [N, height, width, channels] -> [N, units].

    centred: whether the first convolution subtracts the mean frame.
    first_convolution: the convolution that sees the frames.
    """

    def __init__(self, convolutions: tuple[tuple[int, int, int], ...], units: int, seed: int, centred: bool = False):
        super().__init__()
        self._convolutions = [
            _conv(filters, kernel, seed + i, strides=stride, centred=centred and i == 0)
            for i, (filters, kernel, stride) in enumerate(convolutions)
        ]
        self.first_convolution = self._convolutions[0]
        self._output = dense(units, seed + len(convolutions))

    def call(self, observation):
        features = as_images(observation)
        for convolution in self._convolutions:
            features = tf.nn.relu(convolution(features))
        features = tf.reshape(features, [-1, features.shape[1:].num_elements()])
        return tf.nn.relu(self._output(features))


class ResidualBlock(keras.layers.Layer):
    """Computes x + Conv 3x3(ReLU(Conv 3x3(ReLU(x))))."""

    def __init__(self, filters: int, seed: int):
        super().__init__()
        self._convolutions = [_conv(filters, 3, seed + i, padding="same") for i in range(2)]

    def call(self, inputs):
        features = inputs
        for convolution in self._convolutions:
            features = convolution(tf.nn.relu(features))
        return inputs + features


class DeepTorso(keras.layers.Layer):
    """Figure 3, right, has three sections of Conv 3x3, MaxPool 3x3/2 and two residual blocks, then ReLU, FC 256, ReLU.

    It maps [N, height, width, channels] to [N, 256]. See `ConvolutionalTorso` for centred and first_convolution.
    """

    def __init__(self, seed: int, centred: bool = False):
        super().__init__()
        self._sections = []
        for i, filters in enumerate((16, 32, 32)):
            first_seed = seed + 5 * i
            self._sections.append(
                [
                    _conv(filters, 3, first_seed, padding="same", centred=centred and i == 0),
                    keras.layers.MaxPooling2D(3, strides=2, padding="same"),
                    ResidualBlock(filters, first_seed + 1),
                    ResidualBlock(filters, first_seed + 3),
                ]
            )
        self.first_convolution = self._sections[0][0]
        self._output = dense(256, seed + 15)

    def call(self, observation):
        features = as_images(observation)
        for section in self._sections:
            for layer in section:
                features = layer(features)
        features = tf.nn.relu(features)
        features = tf.reshape(features, [-1, features.shape[1:].num_elements()])
        return tf.nn.relu(self._output(features))


class InstructionEncoder(keras.layers.Layer):
    """Encodes DMLab's language instructions, [N] string -> [N, 64].

    Words are hashed to 1000 buckets and embedded in 20 numbers each. An LSTM of 64 units reads them, and its last
    output is the encoding.
    """

    NUM_BUCKETS = 1000

    def __init__(self, seed: int):
        super().__init__()
        self._embedding = keras.layers.Embedding(
            self.NUM_BUCKETS, 20, embeddings_initializer=keras.initializers.RandomNormal(stddev=1.0, seed=seed)
        )
        self._lstm = keras.layers.LSTM(
            64,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 1),
            recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 2),
        )

    def call(self, instruction):
        words = tf.strings.split(instruction)
        # An empty instruction becomes one empty word, so that the LSTM always has a step to make.
        words = words.to_tensor(default_value="", shape=[None, None])
        words = tf.cond(tf.shape(words)[1] > 0, lambda: words, lambda: tf.expand_dims(instruction, 1))
        buckets = tf.strings.to_hash_bucket_fast(words, self.NUM_BUCKETS)
        # Padding stands behind the words and is masked, so the LSTM's output is that of the last word.
        mask = tf.concat([tf.ones_like(words[:, :1], tf.bool), words[:, 1:] != ""], axis=1)
        return self._lstm(self._embedding(buckets), mask=mask)
