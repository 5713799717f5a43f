"""Is imported once by the fork server of `processes.py`, and imports TensorFlow there without its noise."""

from impala_tf.support.startup import import_own

import_own("impala_tf.running.hosts.processes")
