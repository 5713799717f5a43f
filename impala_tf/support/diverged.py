"""Has the error of a run whose numbers are not finite any more."""

from impala_tf.config import SettingError


class Diverged(SettingError):
    """An update is not finite, or the weights make outputs that are not. The message is one line."""
