"""The learner's device, and which graphs XLA compiles."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.config import Config
from impala_tf.learning import devices
from impala_tf.learning.devices import wants_xla
from impala_tf.networks import make_agent

VECTOR = gym.spaces.Box(-1, 1, (3,))
FRAMES = gym.spaces.Box(0, 255, (36, 36, 1), np.uint8)
TEXT = gym.spaces.Text(5)


@pytest.mark.parametrize(
    ("space", "xla", "device", "expected"),
    [
        (VECTOR, "auto", "/CPU:0", True),
        (FRAMES, "auto", "/CPU:0", False),
        (FRAMES, "auto", "/GPU:0", True),
        (gym.spaces.Tuple([VECTOR, FRAMES]), "auto", "/CPU:0", False),
        (FRAMES, "on", "/CPU:0", True),
        (VECTOR, "off", "/CPU:0", False),
        (VECTOR, "off", "/GPU:0", False),
        # XLA has no texts.
        (TEXT, "auto", "/CPU:0", False),
        (gym.spaces.Tuple([VECTOR, TEXT]), "auto", "/GPU:0", False),
    ],
)
def test_what_xla_compiles(space, xla, device, expected):
    config = Config(xla=xla, separate_value_network=False)
    agent = make_agent(config, space, gym.spaces.Discrete(2))
    assert wants_xla(config, agent, device) == expected


@pytest.mark.parametrize(("gpus", "expected"), [([], "/CPU:0"), (["a GPU"], "/GPU:0")])
def test_the_first_gpu_is_the_default(monkeypatch, gpus, expected):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus if kind == "GPU" else [])
    assert devices.default_device() == expected
