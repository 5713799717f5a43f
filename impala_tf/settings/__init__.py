"""Each setting is declared once, in the frozen dataclass of its wing. `impala_tf.config.Config` inherits all."""
