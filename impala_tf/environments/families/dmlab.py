"""Makes DeepMind Lab's levels: `DMLab/LEVEL-v0`, and `DMLabTest/LEVEL-v0` for testing.

LEVEL is one of DMLab-30's, such as explore_goal_locations_small, or seekavoid_arena_01 (the paper's table 1). Frames,
actions and action repeat are the paper's (tables D.1 to D.3). Ids for testing do what the released code does in tests:
their seeds span other numbers than those of training, and two levels, with _test instead of _train at the end of their
names, are held-out versions.
"""

from typing import Any

import gymnasium as gym

from impala_tf.config import Config, SettingError
from impala_tf.environments.families.dmlab_level import OTHER_LEVELS, TEST, TRAIN
from impala_tf.environments.families.family import Family
from impala_tf.environments.reference_scores import DMLAB30, DMLAB30_TEST

SETTINGS = ("dmlab_renderer", "dmlab_dataset_path")


class DMLab(Family):
    """This is the family of DeepMind Lab's levels; see `Family`."""

    prefixes = (TRAIN, TEST)
    limits_episodes = True  # Levels end by the clock.

    def make(self, registered_id: str, config: Config, settings: dict[str, Any]) -> gym.Env:
        """Makes one level. DeepMind Lab repeats actions itself, so --max_episode_frames limits steps here."""
        steps = max(1, config.max_episode_frames // config.num_action_repeats) if config.max_episode_frames else None
        return gym.make(
            registered_id,
            max_episode_steps=steps,
            num_action_repeats=config.num_action_repeats,
            renderer=config.dmlab_renderer,
            dataset_path=config.dmlab_dataset_path,
            **settings,
        )

    def unheeded_settings(self, config: Config) -> dict[str, str]:
        return {} if self.owns(config.env_id) else dict.fromkeys(SETTINGS, "a DMLab id")

    def fastest_vectorization(self, config: Config) -> str | None:
        return "async"  # A step holds Python's lock.

    def check_training(self, env_id: str, config: Config) -> None:
        """Raises SettingError for the ids for testing, which would no longer test an agent that learned from them."""
        if env_id.startswith(TEST):
            raise SettingError(f"--env_id={config.env_id}: is for testing; train on a DMLab/ id or on dmlab30")


def register() -> None:
    """Makes the ids known to gymnasium."""
    for name in (*DMLAB30, *DMLAB30_TEST, *(f"{TRAIN}{level}-v0" for level in OTHER_LEVELS)):
        if name not in gym.registry:
            namespace, _, level = name.removesuffix("-v0").partition("/")
            gym.register(
                name,
                entry_point="impala_tf.environments.families.dmlab_level:DMLabLevel",
                kwargs={"level": level, "test": f"{namespace}/" == TEST},
            )
