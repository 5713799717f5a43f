"""Says what follows when one of an actor's environments fails."""

import time
from collections.abc import Sequence

import numpy as np

from impala_tf.config import SettingError
from impala_tf.environments.restarts import Restarts, wait_secs
from impala_tf.support.failures import EnvironmentFailure, Failed

# A vector's info has this name where environments were made anew in the row, [B] bool.
RESTARTED = "impala_tf/restarted"


class Guard:
    """Knows the environments of an actor by name, and whether one that fails may be made anew.

    env_id: id of the environments. actor: index of the actor.
    seeds: seed of each of its B environments.
    restarts: restarts of this process.
    """

    def __init__(self, env_id: str, actor: int, seeds: Sequence[int], restarts: Restarts):
        self.env_id = env_id
        self._actor = actor
        self._first_seeds = list(seeds)
        self._seeds = list(seeds)
        self._restarts = restarts
        self._num_failures = np.zeros(len(self._seeds), int)
        self._in_a_row = np.zeros(len(self._seeds), int)

    @property
    def num_envs(self) -> int:
        """Returns B."""
        return len(self._seeds)

    def failed(self, index: int, failed: Failed, is_new: bool, error: Exception | None = None) -> int:
        """Waits until the environment may be made anew. Returns its next seed: with the last one it might fail again.

        index: index of the environment in its vector.
        is_new: whether it has made no step since it was made.
        error: its exception, if that was raised in this process.

        Raises EnvironmentFailure where it may not; SettingError where it emits what none may emit.
        """
        if failed.is_wrong:
            raise SettingError(failed.text) from error
        name = f"environment {index} of actor {self._actor}"
        failure = EnvironmentFailure(
            f"--env_id={self.env_id}: {name} (seed {self._seeds[index]}) {failed.text}", failed.trace
        )
        if failed.trace and error is None:
            failure.add_note(f"In the environment's process:\n{failed.trace}")
        try:
            self._restarts.take(failure, name)
        except EnvironmentFailure as raised:
            raise raised from error
        self._in_a_row[index] = self._in_a_row[index] + 1 if is_new else 0
        time.sleep(wait_secs(int(self._in_a_row[index])))
        self._num_failures[index] += 1
        words = [self._first_seeds[index], int(self._num_failures[index])]
        self._seeds[index] = int(np.random.SeedSequence(words).generate_state(1)[0])
        return self._seeds[index]
