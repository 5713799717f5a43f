"""IMPALA (Espeholt et al. 2018) in TensorFlow 2 and Keras 3.

Importing the package imports nothing heavy; start with `impala_tf.train.connect`, which wires all parts.
"""

__version__ = "0.1.0"
