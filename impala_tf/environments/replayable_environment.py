"""Has the vector whose environments can be brought back to where they were (--exact_resume)."""

from typing import NamedTuple

import numpy as np
from gymnasium.vector.utils import batch_space, iterate

from impala_tf.config import SettingError
from impala_tf.environments.replayed_episodes import ActionLog, LogMark, Replayed, SeededEpisodes
from impala_tf.environments.task import SINGLE_TASK, Task
from impala_tf.environments.vector_environment import VectorEnvironment
from impala_tf.spaces.observation_spaces import named_arrays
from impala_tf.support.messages import one_line
from impala_tf.types import EnvOutput


class VectorMark(NamedTuple):
    """A point in the life of a `ReplayableEnvironment`.

    episodes: number of the episode of each environment.
    ended, lives: what `EpisodeRows.memory` returned.
    actions: point in the log of actions.
    """

    episodes: list[int]
    ended: np.ndarray
    lives: np.ndarray
    actions: LogMark


class ReplayableEnvironment(VectorEnvironment):
    """This vector can go back to a point at which another vector with the same seeds was.

    States of environments are not saved, since only pickles could hold those of any environment. Their episodes are
    replayed. That takes as long as the running episodes took, without the policy.

    env: a gymnasium vector in this process, each of whose environments is a `SeededEpisodes`.
    """

    def __init__(self, env, seed: list[int], task: Task = SINGLE_TASK):
        super().__init__(env, seed, task)
        self._seeds = seed
        self._log = ActionLog(self.num_envs)

    def reset(self) -> EnvOutput:
        self._log = ActionLog(self.num_envs)
        return super().reset()

    def step(self, actions: np.ndarray) -> EnvOutput:
        row = super().step(actions)
        self._log.add(actions, row.first)
        return row

    @property
    def _episodes(self) -> list[SeededEpisodes]:
        return self._env.envs

    def mark(self) -> VectorMark:
        """Returns the present point. It costs little, so it may be called after every unroll."""
        return VectorMark([env.episode for env in self._episodes], *self._rows.memory(), self._log.mark())

    def arrays_at(self, mark: VectorMark) -> dict[str, np.ndarray]:
        """Returns what `go_to` needs. mark: the last point that was marked; there may have been steps since."""
        actions = self._log.actions_at(mark.actions)
        return dict(
            episodes=np.array(mark.episodes),
            ended=mark.ended,
            lives=mark.lives,
            actions=np.concatenate(actions),
            lengths=np.array([len(own) for own in actions]),
        )

    def go_to(self, arrays: dict[str, np.ndarray], row: EnvOutput) -> EnvOutput:
        """Goes to a point that another vector has marked. Returns the row there.

        arrays: result of `arrays_at`.
        row: row at that point, in which texts may be bytes of a fixed length.

        Raises SettingError when an environment does not come to this row again.
        """
        actions = np.split(arrays["actions"], np.cumsum(arrays["lengths"])[:-1])
        for i, env in enumerate(self._episodes):
            try:
                replayed = env.replay(self._seeds[i], int(arrays["episodes"][i]), self._singly(actions[i]))
            except Exception as error:
                raise self._differs(i, one_line(error)) from error
            if replayed != Replayed(row.reward[i], row.episode_return[i], bool(arrays["ended"][i])):
                raise self._differs(i, "it gives another reward, or ends elsewhere")
        observation, _ = self._env.reset(seed=self._seeds)
        present = self._rows.go_to(row, arrays["ended"], arrays["lives"], observation)
        for (_, now), (_, then) in zip(named_arrays(present.observation), named_arrays(row.observation), strict=True):
            same = [np.array_equal(a, b) for a, b in zip(now.astype(then.dtype), then, strict=True)]
            if not all(same):
                raise self._differs(same.index(False), "it gives another observation")
        self._log = ActionLog.of(actions)
        return present

    def _singly(self, actions: np.ndarray):
        """Returns the actions of one environment, [N, ...], as its `step` takes them."""
        if not len(actions):
            return []
        return iterate(batch_space(self.action_space, len(actions)), self._task.to_environment(actions))

    def _differs(self, index: int, how: str) -> SettingError:
        return SettingError(
            f"--exact_resume=true: the episode of environment {index} of {self._task.env_id} cannot be replayed from "
            f"its seed and actions ({how}): it has other state; leave the flag out to go on with new episodes"
        )
