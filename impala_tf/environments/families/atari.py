"""Makes Atari games of the Arcade Learning Environment, by default with the paper's preprocessing (table G.1).

Observations are [frame_stack, 84, 84] uint8: grey frames, each the maximum over the last two. These settings go
to ALE's own vector (fastest), gymnasium's wrappers (everywhere) and EnvPool.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments.families.family import Family

FRAME_SIZE = 84
LONGEST_EPISODE = 108_000  # These frames take 30 minutes at 60 frames a second.

# Only ALE's ids heed these settings; the second group is heeded by their preprocessing only.
SETTINGS = ("atari_preprocessing", "atari_ram", "sticky_actions", "full_action_set", "life_loss_ends_episode")
PREPROCESSING = ("frame_stack", "noop_max")

# Each of ALE's 18 actions becomes this action of a game without fire (Skiing), where firing does nothing.
WITHOUT_FIRE = (0, 0, *range(1, 9), *range(1, 9))


def is_preprocessed(config: Config) -> bool:
    """Returns whether --env_id is one of ALE's and its frames are preprocessed."""
    return config.env_id.startswith(Atari.prefixes) and config.atari_preprocessing and not config.atari_ram


def longest_episode_frames(config: Config) -> int:
    """Returns the number of frames after which a game is cut off."""
    return config.max_episode_frames or LONGEST_EPISODE


class Atari(Family):
    """This is the family of ALE's ids; see `Family`."""

    prefixes = ("ALE/",)
    has_native_vectors = False  # ALE's vector is --vectorization=ale.
    limits_episodes = True
    joining_advice = "give --full_action_set"

    def register(self, env_id: str) -> None:
        try:
            import ale_py
        except ImportError:
            raise SettingError(f"--env_id={env_id}: ale-py is not installed: pip install 'impala_tf[atari]'") from None
        gym.register_envs(ale_py)

    def make(self, registered_id: str, config: Config, settings: dict[str, Any]) -> gym.Env:
        settings = settings | dict(
            repeat_action_probability=config.sticky_actions,
            full_action_space=config.full_action_set,
            max_num_frames_per_episode=longest_episode_frames(config),
        )
        if not is_preprocessed(config):
            kind = "ram" if config.atari_ram else "rgb"
            return gym.make(registered_id, frameskip=config.num_action_repeats, obs_type=kind, **settings)
        try:
            import cv2  # noqa: F401 (AtariPreprocessing needs it, and says so less clearly)
        except ImportError:
            raise SettingError(
                f"--env_id={config.env_id}: OpenCV is not installed: pip install 'impala_tf[atari]'"
            ) from None
        env = gym.make(registered_id, frameskip=1, **settings)
        env = gym.wrappers.AtariPreprocessing(
            env, noop_max=config.noop_max, frame_skip=config.num_action_repeats, screen_size=FRAME_SIZE
        )
        # Zeros come before the first frame, as in ALE's vector.
        return gym.wrappers.FrameStackObservation(env, config.frame_stack, padding_type="zero")

    def unheeded_settings(self, config: Config) -> dict[str, str]:
        if not self.owns(config.env_id):
            return dict.fromkeys(SETTINGS + PREPROCESSING, "an ALE id, such as ALE/Pong-v5")
        if not is_preprocessed(config):
            return dict.fromkeys(PREPROCESSING, "--atari_preprocessing and frames")
        return {}

    def fastest_vectorization(self, config: Config) -> str | None:
        return "ale" if is_preprocessed(config) else None

    def envpool_name(self, env_id: str) -> str:
        return env_id.removeprefix("ALE/")

    def envpool_settings(self, config: Config) -> dict[str, Any]:
        if not is_preprocessed(config):
            flag = "--atari_ram=true" if config.atari_ram else "--atari_preprocessing=false"
            raise SettingError(f"{flag}: EnvPool always preprocesses; use --vectorization=sync or async")
        if config.noop_max < 1:  # EnvPool 1.2 crashes without no-ops.
            raise SettingError(f"--noop_max={config.noop_max}: must be at least 1 with --vectorization=envpool")
        return dict(
            stack_num=config.frame_stack,
            frame_skip=config.num_action_repeats,
            noop_max=config.noop_max,
            img_height=FRAME_SIZE,
            img_width=FRAME_SIZE,
            gray_scale=True,
            reward_clip=False,
            use_fire_reset=False,
            episodic_life=False,
            full_action_space=config.full_action_set,
            repeat_action_probability=config.sticky_actions,
            max_episode_steps=longest_episode_frames(config) // config.num_action_repeats,
        )

    def translation(
        self, config: Config, own_space: gym.Space, joint_space: gym.Space
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """Translates for games without fire, which have half as many actions even with the full action set."""
        is_without_fire = config.full_action_set and own_space == gym.spaces.Discrete(max(WITHOUT_FIRE) + 1)
        is_full = joint_space == gym.spaces.Discrete(len(WITHOUT_FIRE))
        return np.array(WITHOUT_FIRE).__getitem__ if is_without_fire and is_full else None
