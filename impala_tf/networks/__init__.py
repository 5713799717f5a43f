"""Keras networks behind one `Agent`."""

from impala_tf.networks.agent import Agent, make_agent
from impala_tf.networks.cores import LSTMCore
from impala_tf.networks.torsos import DeepTorso, InstructionEncoder, MLPTorso, ShallowTorso

__all__ = ["Agent", "DeepTorso", "InstructionEncoder", "LSTMCore", "MLPTorso", "ShallowTorso", "make_agent"]
