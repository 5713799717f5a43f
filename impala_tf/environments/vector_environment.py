"""Steps a vector of environments, which emits rows of `EnvOutput`."""

from typing import Any

import numpy as np

from impala_tf.config import SettingError
from impala_tf.environments.rows import EpisodeRows, check_autoreset_mode
from impala_tf.environments.task import SINGLE_TASK, Task
from impala_tf.spaces import observation_spaces
from impala_tf.support.failures import EnvironmentFailure, Failed
from impala_tf.types import EnvOutput


class VectorEnvironment:
    """This vector's B environments step at the same time and emit rows in the convention of `types.py`.

    env: a gymnasium vector in NEXT_STEP autoreset mode.
    seed: argument of its `reset`: an int for each environment, or one int where it has one random generator.
    task: the task of all environments.
    tasks: [B] int32, the index of each environment's task.
    """

    def __init__(self, env: Any, seed: int | list[int], task: Task = SINGLE_TASK):
        check_autoreset_mode(env)
        self._env = env
        self._seed = seed
        self.num_envs = env.num_envs
        self._task = task
        self.tasks = np.full(self.num_envs, task.index, np.int32)
        space = getattr(env, "single_observation_space", None)
        self._nested_space = space if space is not None and observation_spaces.is_nested(space) else None
        self._rows = EpisodeRows(self.num_envs, task, self._nested_space)

    def reset(self) -> EnvOutput:
        """Begins an episode in every environment, from the seed. Returns a row in which all are `first`."""
        try:
            observation, info = self._env.reset(seed=self._seed)
        except (EnvironmentFailure, SettingError):
            raise
        except Exception as error:
            raise self._failure(error, "reset") from error
        self._rows = EpisodeRows(self.num_envs, self._task, self._nested_space)
        no_reward, no_end = np.zeros(self.num_envs, np.float32), np.zeros(self.num_envs, bool)
        return self._rows.row(slice(None), no_reward, no_end, no_end.copy(), observation, info)

    def step(self, actions: np.ndarray) -> EnvOutput:
        """Takes actions [B, ...]; those of environments whose last row ended an episode are ignored.

        Raises Diverged when an action is not in the action space, EnvironmentFailure when an environment fails for
        good, and SettingError when it emits what none may emit.
        """
        actions = self._task.to_environment(actions)
        try:
            observation, reward, terminated, truncated, info = self._env.step(actions)
        except (EnvironmentFailure, SettingError):
            raise
        except Exception as error:
            raise self._failure(error, "step") from error
        return self._rows.row(slice(None), reward, terminated, truncated, observation, info)

    def _failure(self, error: Exception, method: str) -> EnvironmentFailure:
        """Returns what an exception of a library's vector, or of the id's own, is to the run."""
        failed = Failed.of(error, method)
        return EnvironmentFailure(f"--env_id={self._task.env_id}: {failed.text}", failed.trace)

    def render(self) -> np.ndarray:
        """Returns the first environment's picture, [height, width, 3] uint8; needs render_mode="rgb_array"."""
        return self._env.render()[0]

    @property
    def action_space(self) -> Any:
        """Returns the action space of one environment."""
        return self._env.single_action_space

    @property
    def action_names(self) -> list[str]:
        """Returns the game's names of its actions, in their order; an empty list if it has none."""
        envs = getattr(self._env, "envs", None)
        names = getattr(envs[0].unwrapped, "get_action_meanings", None) if envs else None
        return list(names()) if names else []

    @property
    def frames_per_sec(self) -> float:
        """Returns the pace at which people watch the environment."""
        return float(self._env.metadata.get("render_fps", 30))

    def close(self) -> None:
        """Ends the environments, and the processes that they may have."""
        self._env.close()
