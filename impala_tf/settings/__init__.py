"""Every setting once, in a frozen dataclass for each wing. `impala_tf.config.Config` inherits all of them."""
