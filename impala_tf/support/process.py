"""Prepares the process of a main, before its other modules are imported."""

from impala_tf.support import working_directory


def begin() -> None:
    """Leaves the working directory to modules that the user names, opens the streams, and lets signals end the process.

    Calling it again does nothing.
    """
    working_directory.leave()
    from impala_tf.support import signals, streams  # Nothing is imported from the working directory any more.

    if signals.ending() is None:
        streams.open_all()
        signals.end_at_once()
