"""Refuses what an algorithm needs and the other settings cannot give it."""

from impala_tf.config import Config, SettingError
from impala_tf.settings.contradictions import WAITING
from impala_tf.types import Needs


def check_needs(config: Config, needs: Needs) -> None:
    """Raises SettingError where the architecture or the batch does not go with the algorithm's needs."""
    name, architecture = config.algorithm, config.architecture
    if architecture == "a3c" and needs != Needs():
        raise SettingError(
            f"--algorithm={name}: learns from each batch several times or has a target network, and does not go with "
            "--architecture=a3c; give another architecture"
        )
    if architecture in WAITING and needs.buffer_batches > 1:
        raise SettingError(
            f"--buffer_batches={needs.buffer_batches}: with --architecture={architecture} actors wait for the update "
            "from their unrolls; give --buffer_batches=1"
        )
    if config.batch_size % needs.minibatches:
        raise SettingError(
            f"--minibatches={needs.minibatches}: must divide --batch_size={config.batch_size}, the unrolls of a batch"
        )
