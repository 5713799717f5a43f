"""Has small environments of our own, with one property each."""

from impala_tf.environments.small import busy, endless, episode_lengths, hidden_velocities, memory_chain


def register() -> None:
    """Makes the ids known to gymnasium."""
    for module in (busy, endless, episode_lengths, hidden_velocities, memory_chain):
        module.register()
