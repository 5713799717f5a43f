"""Decides where the learner computes, and whether XLA compiles its graph."""

import tensorflow as tf

from impala_tf.config import Config
from impala_tf.networks import Agent
from impala_tf.spaces.observation_spaces import is_text, leaves, network_for


def default_device() -> str:
    """Returns the first GPU, or the CPU if there is none."""
    return "/GPU:0" if tf.config.list_physical_devices("GPU") else "/CPU:0"


def wants_xla(config: Config, agent: Agent, device: str) -> bool:
    """Returns whether XLA compiles the learner's graph, as --xla says.

    auto means yes where that was faster (docs/performance.md), on a GPU and for networks without images; XLA cannot
    compile texts.
    """
    parts = leaves(agent.observation_space).values()
    if any(is_text(part) for part in parts):
        return False
    if config.xla == "auto":
        return "GPU" in device or all(network_for(config.network, part) == "mlp" for part in parts)
    return config.xla == "on"
