"""Says what may be special about the environments of one library; in this base class nothing is."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments.action_masks import MaskedObservation, has_mask_in_info
from impala_tf.environments.action_repeat import ActionRepeat


class Family:
    """A family is the environments whose ids begin alike. This base class holds for all other ids of gymnasium.

    prefixes: beginnings of the ids.
    has_native_vectors: whether --vectorization=native may be used where gymnasium has a vector form of the id.
    limits_episodes: whether episodes end although gymnasium knows of no limit.
    joining_advice: end of the message, after "; ", where its environments do not go together with others.
    """

    prefixes: tuple[str, ...] = ()
    has_native_vectors = True
    limits_episodes = False
    joining_advice = ""

    def owns(self, env_id: str) -> bool:
        return env_id.startswith(self.prefixes)

    def register(self, env_id: str) -> None:
        """Makes the ids known to gymnasium. Raises SettingError when a package is not installed."""

    def make(self, registered_id: str, config: Config, settings: dict[str, Any]) -> gym.Env:
        """Makes one environment.

        registered_id: the id as gymnasium knows it.
        settings: further arguments of gymnasium.make.
        """
        env = gym.make(registered_id, max_episode_steps=config.max_episode_frames or None, **settings)
        if has_mask_in_info(registered_id):
            env = MaskedObservation(env)
        return ActionRepeat(env, config.num_action_repeats) if config.num_action_repeats > 1 else env

    def unheeded_settings(self, config: Config) -> dict[str, str]:
        """Returns the settings that do nothing with this config, each with what it would need."""
        del config
        return {}

    def fastest_vectorization(self, config: Config) -> str | None:
        """Returns what --vectorization=auto means for this family; None means the same as for other ids."""
        del config
        return None

    def check_training(self, env_id: str, config: Config) -> None:
        """Raises SettingError when nobody may train on the id, which is one of the run's tasks."""

    def envpool_name(self, env_id: str) -> str:
        """Returns EnvPool's id of the environment."""
        return env_id

    def envpool_settings(self, config: Config) -> dict[str, Any]:
        """Returns EnvPool's settings of the environment. Raises SettingError for settings that EnvPool cannot heed."""
        if config.num_action_repeats > 1:
            raise SettingError(
                f"--num_action_repeats={config.num_action_repeats}: EnvPool repeats actions on Atari only; "
                "use --vectorization=sync or async"
            )
        return {"max_episode_steps": config.max_episode_frames} if config.max_episode_frames else {}

    def translation(
        self, config: Config, own_space: gym.Space, joint_space: gym.Space
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """Returns a function from actions [B] of the joint space of several tasks to those of one task.

        None means that the two spaces do not go together.
        """
        del config, own_space, joint_space
        return None
