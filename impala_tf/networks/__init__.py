"""Has the Keras networks behind one `Agent`."""

from impala_tf.networks.agent import Agent
from impala_tf.networks.cores import GRUCore, LSTMCore
from impala_tf.networks.factory import make_agent
from impala_tf.networks.torsos import ConvolutionalTorso, DeepTorso, InstructionEncoder, MLPTorso

__all__ = [
    "Agent",
    "ConvolutionalTorso",
    "DeepTorso",
    "GRUCore",
    "InstructionEncoder",
    "LSTMCore",
    "MLPTorso",
    "make_agent",
]
