"""Makes MinAtar's games: `MinAtar/GAME-v0` with all six actions, `-v1` with those that the game uses."""

import warnings
from typing import Any

import gymnasium as gym

from impala_tf.config import Config, SettingError
from impala_tf.environments.families.family import Family


class MinAtar(Family):
    """This is the family of MinAtar's games; see `Family`."""

    prefixes = ("MinAtar/",)

    def register(self, env_id: str) -> None:
        try:
            import minatar.gym
        except ImportError:
            raise SettingError(
                f"--env_id={env_id}: MinAtar is not installed: pip install 'impala_tf[minatar]'"
            ) from None
        if "MinAtar/Breakout-v0" not in gym.registry:
            minatar.gym.register_envs()

    def make(self, registered_id: str, config: Config, settings: dict[str, Any]) -> gym.Env:
        with warnings.catch_warnings():  # gymnasium takes v0 for an old form of v1.
            warnings.simplefilter("ignore")
            env = super().make(registered_id, config, settings)
        return _ForgetfulGame(env) if config.exact_resume else env


class _ForgetfulGame(gym.Wrapper):
    """Begins each episode after the action 0. MinAtar's sticky actions go on from the episode before, and no seed says
    what its last action was, so an episode could not be replayed."""

    def reset(self, **arguments):
        self.unwrapped.game.last_action = 0  # type: ignore[attr-defined]
        return self.env.reset(**arguments)
