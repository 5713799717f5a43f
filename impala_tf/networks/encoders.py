"""Makes a torso for an observation space; each part of a Dict or Tuple gets its own, and features are joined."""

from collections.abc import Callable

import gymnasium as gym
import keras
import numpy as np
import tensorflow as tf

from impala_tf.config import SettingError
from impala_tf.networks.convolutions import Convolution
from impala_tf.networks.torsos import (
    MINATAR,
    NATURE,
    SHALLOW,
    ConvolutionalTorso,
    DeepTorso,
    InstructionEncoder,
    MLPTorso,
)
from impala_tf.spaces.observation_spaces import is_frame, is_text, leaves, network_for, zeros
from impala_tf.support.messages import with_place
from impala_tf.support.own_code import own_function

CONVOLUTIONS = {"shallow": SHALLOW, "nature": NATURE, "minatar": MINATAR}
SEEDS_OF_A_PART = 1_000_003  # The seeds of two parts of an observation are so far apart.


class OneHot(keras.layers.Layer):
    """Maps numbers of a Discrete or MultiDiscrete space, [N, ...], to one-hot vectors side by side, [N, F] float32."""

    def __init__(self, space: gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        super().__init__()
        sizes = space.n if isinstance(space, gym.spaces.Discrete) else space.nvec
        self._sizes = [int(n) for n in np.ravel(sizes)]
        self._starts = [int(start) for start in np.ravel(space.start)]

    def call(self, observation):
        observation = tf.cast(observation, tf.int64)  # tf.one_hot takes few of the integer types.
        numbers = tf.unstack(tf.reshape(observation, [-1, len(self._sizes)]), axis=-1)
        parts = zip(numbers, self._starts, self._sizes, strict=True)
        return tf.concat([tf.one_hot(number - start, size) for number, start, size in parts], axis=-1)


class Sequence(keras.layers.Layer):
    """Applies layers one after the other."""

    def __init__(self, *layers: keras.layers.Layer):
        super().__init__()
        self._layers_in_order = layers

    def call(self, observation):
        for layer in self._layers_in_order:
            observation = layer(observation)
        return observation


class NestTorso(keras.layers.Layer):
    """Applies a torso to each leaf of a nested observation, in the order of tf.nest.flatten, and joins the features.

    The paper's DMLab agent has the leaves `frame` and `instruction`.
    """

    def __init__(self, torsos: list[keras.layers.Layer]):
        super().__init__()
        self.torsos = torsos

    def call(self, observation):
        parts = zip(self.torsos, tf.nest.flatten(observation), strict=True)
        return tf.concat([torso(part) for torso, part in parts], axis=-1)


def make_torso(
    space: gym.Space, network: str, hidden_sizes: tuple[int, ...], activation: str, centre_frames: bool, seed: int
) -> keras.layers.Layer:
    """Makes the torso for an observation space. Each part of a Dict or Tuple gets the torso that `network_for` names.

    network: --network; for module:function that function makes one torso for the whole space.
    hidden_sizes, activation: layer sizes and activation of the mlp.
    centre_frames: whether frames have their mean frame subtracted.
    seed: first seed of the initial weights; a torso uses fewer than 100 from there.
    """
    if ":" in network:
        return own_torso(own_function("network", network), space, f"--network={network}")
    if isinstance(space, gym.spaces.Dict | gym.spaces.Tuple):
        settings = (network, hidden_sizes, activation, centre_frames)
        parts = enumerate(leaves(space).values())
        return NestTorso([make_torso(part, *settings, seed + i * SEEDS_OF_A_PART) for i, part in parts])
    if is_text(space):
        return InstructionEncoder(seed)
    network = network_for(network, space)
    centred = centre_frames and is_frame(space)
    if network == "deep":
        return DeepTorso(seed, centred)
    if network in CONVOLUTIONS:
        return ConvolutionalTorso(*CONVOLUTIONS[network], seed, centred)
    mlp = MLPTorso(hidden_sizes, activation, seed)
    if isinstance(space, gym.spaces.Discrete | gym.spaces.MultiDiscrete):
        return Sequence(OneHot(space), mlp)
    return mlp


def own_torso(make: Callable, space: gym.Space, what: str) -> keras.layers.Layer:
    """Returns the layer that the user's function makes for a space, after a trial on two observations of zeros.

    what: name of the function in messages.

    Raises SettingError when it fails or makes no layer, or when the layer
    fails, makes anything but [N, F] float32, or has variables that are not trained.
    """
    try:
        torso = make(space)
    except Exception as error:
        raise SettingError(f"{what}: failed: {with_place(error)}") from error
    if not isinstance(torso, keras.layers.Layer):
        raise SettingError(f"{what}: returned {type(torso).__name__}; must be a Keras layer")
    observations = tf.nest.map_structure(lambda x: tf.stack([x, x]), zeros(space))
    try:
        features = torso(observations)
    except Exception as error:
        raise SettingError(f"{what}: its layer failed on two observations: {with_place(error)}") from error
    shape = getattr(features, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != 2 or features.dtype != tf.float32:
        given = f"a {type(features).__name__}" if shape is None else f"{features.dtype.name} {list(shape)}"
        raise SettingError(f"{what}: its layer made {given} of two observations; must be float32 [2, F]")
    # Such variables would be neither published nor saved. The state of a layer's random generator (Keras' LSTM has one
    # for its dropout) matters to nobody.
    unknown = [v.path for v in torso.non_trainable_variables if "seed_generator" not in v.path]
    if unknown:
        raise SettingError(
            f"{what}: its layers have variables that are not trained, such as {unknown[0]} (BatchNormalization has "
            "them); leave such layers out"
        )
    return torso


def centred_convolutions(torso: keras.layers.Layer) -> dict[int, Convolution]:
    """Returns the convolutions of a torso that subtract the mean frame (--centre_frames).

    Each is the first layer of one part's torso; the keys are the positions of these parts in
    tf.nest.flatten of the observation. Without centred frames, and for a user's own torso, there are none.
    """
    torsos = torso.torsos if isinstance(torso, NestTorso) else [torso]
    first_layers = {i: getattr(part, "first_convolution", None) for i, part in enumerate(torsos)}
    return {i: layer for i, layer in first_layers.items() if isinstance(layer, Convolution) and layer.centred}
