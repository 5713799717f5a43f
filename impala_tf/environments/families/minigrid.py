"""Makes MiniGrid's and BabyAI's grid worlds, with a mission as text."""

import gymnasium as gym

from impala_tf.config import SettingError
from impala_tf.environments.families.family import Family


class MiniGrid(Family):
    """This is the family of MiniGrid's and BabyAI's ids; see `Family`."""

    prefixes = ("MiniGrid-", "BabyAI-")

    def register(self, env_id: str) -> None:
        if env_id in gym.registry:
            return
        try:
            import minigrid  # noqa: F401 (registers them)
        except ImportError:
            raise SettingError(
                f"--env_id={env_id}: MiniGrid is not installed: pip install 'impala_tf[minigrid]'"
            ) from None
