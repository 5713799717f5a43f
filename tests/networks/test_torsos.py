"""The outputs of the paper's networks, computed by hand from their definitions."""

import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks import ConvolutionalTorso, DeepTorso, MLPTorso
from impala_tf.networks.encoders import make_torso
from impala_tf.networks.torsos import as_images
from tests.support.networks import frame_space
from tests.support.numpy_layers import convolve, max_pool, randomise, relu

# Figure 3, left; Mnih et al. 2015; Young & Tian 2019: the strides of the convolutions.
STRIDES = {"shallow": (4, 2), "nature": (4, 2, 1), "minatar": (1,)}


def torso_for(network, shape, dtype):
    """A torso with random weights and biases, and these by pairs of kernel and bias."""
    config = Config()
    torso = make_torso(frame_space(shape, dtype), network, config.hidden_sizes, config.activation, False, seed=1)
    torso(tf.zeros([1, *shape], dtype))
    weights = randomise(torso.trainable_variables)
    return torso, list(zip(weights[::2], weights[1::2], strict=True))


def images(shape, dtype, num=3):
    random = np.random.default_rng(3)
    if dtype == np.uint8:
        return random.integers(256, size=(num, *shape), dtype=np.uint8)
    if dtype == np.bool_:
        return random.random((num, *shape)) < 0.5
    return random.normal(size=(num, *shape)).astype(dtype)


def assert_equals(output, expected):
    assert 0.05 < np.mean(expected == 0) < 0.95, "the last ReLU has something to cut off, and something to leave"
    assert output.shape == expected.shape
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "shape", "dtype", "layers"),
    [
        ("shallow", (28, 36, 2), np.uint8, [(8, 16), (4, 32)]),
        ("shallow", (28, 29, 2), np.float32, [(8, 16), (4, 32)]),
        ("nature", (44, 36, 1), np.uint8, [(8, 32), (4, 64), (3, 64)]),
        ("minatar", (5, 6, 3), np.bool_, [(3, 16)]),
    ],
)
def test_networks_of_convolutions(network, shape, dtype, layers):
    """Convolutions with ReLU, then a fully connected layer with ReLU; bytes are divided by 255."""
    torso, weights = torso_for(network, shape, dtype)
    assert isinstance(torso, ConvolutionalTorso)
    assert [(kernel.shape[0], kernel.shape[-1]) for kernel, _ in weights[:-1]] == layers
    frames = images(shape, dtype)
    features = frames / 255 if dtype == np.uint8 else frames.astype(np.float64)
    for (kernel, bias), stride in zip(weights[:-1], STRIDES[network], strict=True):
        features = convolve(features, kernel, bias, stride)
        assert 0.2 < np.mean(features < 0) < 0.8
        features = relu(features)
    kernel, bias = weights[-1]
    assert_equals(torso(frames), relu(features.reshape(len(frames), -1) @ kernel + bias))


@pytest.mark.parametrize(("shape", "dtype"), [((10, 7, 2), np.uint8), ((8, 13, 1), np.float32)])
def test_the_deep_network(shape, dtype):
    """Figure 3, right: three times Conv 3x3, MaxPool 3x3/2 and two blocks x + Conv(ReLU(Conv(ReLU(x)))), and then
    ReLU, FC and ReLU."""
    torso, weights = torso_for("deep", shape, dtype)
    assert isinstance(torso, DeepTorso)
    assert [bias.shape[0] for _, bias in weights] == [16] * 5 + [32] * 10 + [256]
    frames = images(shape, dtype)
    features = frames / 255 if dtype == np.uint8 else frames.astype(np.float64)
    layers = iter(weights)
    for _ in range(3):
        features = max_pool(convolve(features, *next(layers), padding="same"), 3, 2)
        for _ in range(2):
            inner = convolve(relu(features), *next(layers), padding="same")
            features = features + convolve(relu(inner), *next(layers), padding="same")
    kernel, bias = next(layers)
    assert_equals(torso(frames), relu(relu(features).reshape(len(frames), -1) @ kernel + bias))


@pytest.mark.parametrize(("activation", "function"), [("tanh", np.tanh), ("relu", relu)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.bool_])
def test_the_mlp(activation, function, dtype):
    """Every layer has the activation, the last one too; bytes are divided by 255."""
    torso = MLPTorso((7, 5), activation, seed=1)
    rows = images((2, 3), dtype, num=9)
    torso(rows)
    weights = randomise(torso.trainable_variables, scale=2.0)
    features = (rows / 255 if dtype == np.uint8 else rows.astype(np.float64)).reshape(9, -1)
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        features = function(features @ kernel + bias)
    np.testing.assert_allclose(torso(rows), features, rtol=1e-4, atol=1e-5)


def test_channels_come_last_whatever_the_order_of_the_axes():
    """The axis of the channels is the smallest one; the pixels stay in their places."""
    frames = images((3, 9, 7), np.uint8, num=2)
    np.testing.assert_array_equal(as_images(tf.constant(frames)), np.moveaxis(frames, 1, -1))
    last = np.moveaxis(frames, 1, -1)
    np.testing.assert_array_equal(as_images(tf.constant(last)), last)


@pytest.mark.parametrize("network", ["shallow", "deep"])
def test_initial_weights_of_every_layer(network):
    """Truncated normal with stddev 1 / sqrt(fan_in), of which truncation leaves 0.88; biases are 0; no two layers of
    one shape begin alike."""
    torso = make_torso(frame_space((36, 36, 4), np.uint8), network, (64,), "tanh", False, seed=1)
    torso(tf.zeros([1, 36, 36, 4], tf.uint8))
    weights = [v.numpy() for v in torso.trainable_variables]
    kernels = weights[::2]
    for kernel, bias in zip(kernels, weights[1::2], strict=True):
        deviation = 1 / np.sqrt(np.prod(kernel.shape[:-1]))
        np.testing.assert_allclose(kernel.std(), 0.88 * deviation, rtol=0.12)
        assert np.abs(kernel).max() <= 2 * deviation
        assert not bias.any()
    assert len({kernel.ravel()[0] for kernel in kernels}) == len(kernels)
