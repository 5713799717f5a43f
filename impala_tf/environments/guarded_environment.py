"""Has an environment of this process under guard: what it emits is checked, and it may be made anew after an exception.

What hangs here, or ends the process, ends the run; `processes.py` has environments that may do that.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import gymnasium as gym

from impala_tf.environments.emitted import Checks
from impala_tf.environments.guard import RESTARTED, Guard
from impala_tf.support.failures import Failed


class GuardedEnvironment(gym.Wrapper):
    """Begins an episode of a new environment when one raises: the step then returns what that one's reset does.

    make: function that makes the environment. index: index of the environment in its vector.
    """

    def __init__(self, make: Callable[[], gym.Env], index: int, guard: Guard):
        self._make = make
        self._index = index
        self._guard = guard
        self._steps = 0  # So many since it was made.
        super().__init__(self._made())
        self._checks = Checks(self.env, guard.env_id)

    def reset(self, **arguments: Any) -> tuple[Any, dict]:
        try:
            return self._checks.reset(self.env.reset(**arguments))
        except Exception as error:
            return self._reset_anew(error, "reset")

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict]:
        try:
            emitted = self._checks.step(self.env.step(action))
        except Exception as error:
            observation, info = self._reset_anew(error, "step")
            return observation, 0.0, False, False, info
        self._steps += 1
        return emitted

    def _made(self) -> gym.Env:
        while True:
            try:
                return self._make()
            except Exception as error:
                self._ask(error, "making")

    def _ask(self, error: Exception, method: str) -> int:
        return self._guard.failed(self._index, Failed.of(error, method), self._steps == 0, error)

    def _reset_anew(self, error: Exception, method: str) -> tuple[Any, dict]:
        """Makes the environment anew and resets it, until that succeeds. error: what its method raised."""
        while True:
            seed = self._ask(error, method)
            with contextlib.suppress(Exception):  # It has failed before.
                self.env.close()
            self._steps = 0
            self.env = self._made()
            try:
                observation, info = self._checks.reset(self.env.reset(seed=seed))
            except Exception as raised:
                error, method = raised, "reset"
                continue
            return observation, {**info, RESTARTED: True}
