"""Runs one environment in a process of its own. A pipe says what is to be done; the numbers are in shared memory.

A request is one byte, behind RESET a pickled seed. An answer is one byte: behind FAILED there is a pickled `Failed`,
behind DONE the observation, if that is not in shared memory. After STACK_SIGNAL the stacks of all threads come through
the pipe, as text.
"""

import contextlib
import faulthandler
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym

from impala_tf.config import SettingError
from impala_tf.environments.emitted import Checks
from impala_tf.environments.shared_rows import SharedRows
from impala_tf.support.failures import Failed
from impala_tf.support.messages import one_line

RESET, STEP, CLOSE = b"r", b"s", b"c"
DONE, FAILED = b".", b"!"
# They go to a whole group of processes; the main process decides what they mean. SIGTERM does, too, but it is also how
# multiprocessing ends a process.
SIGNALS = (signal.SIGINT, signal.SIGHUP)
STACK_SIGNAL = signal.SIGUSR1
LAST_SECS = 2.0  # The environment may take so long to end when the main process is gone.


def work(pipe: Connection, make: Callable[[], gym.Env], env_id: str, index: int, rows: SharedRows) -> None:
    """Does the work of a process: answers each request until CLOSE comes, or the main process is gone.

    make: function that makes the environment. env_id: its id. index: its index in the rows.
    """
    leave_the_group()
    faulthandler.register(STACK_SIGNAL, pipe.fileno())
    threading.Thread(target=end_with_parent, daemon=True).start()
    worker = _Worker(make, env_id, index, rows)
    fd = pipe.fileno()
    with contextlib.suppress(OSError, EOFError):  # The main process is gone.
        while (request := os.read(fd, 1)) not in (b"", CLOSE):
            failed = worker.reset(pipe.recv()) if request == RESET else worker.step()
            os.write(fd, FAILED if failed else DONE)
            if failed:
                pipe.send(failed)
            elif not rows.has_observations:
                pipe.send(worker.observation)
    worker.close()


class _Worker:
    """Steps the environment in gymnasium's NEXT_STEP mode. Each method returns None, or how the environment failed."""

    def __init__(self, make: Callable[[], gym.Env], env_id: str, index: int, rows: SharedRows):
        self._make = make
        self._env_id = env_id
        self._index = index
        self._rows = rows
        self._env: Any = None
        self._checks: Any = None
        self._ended = False
        self.observation: Any = None

    def reset(self, seed: int | None) -> Failed | None:
        """Begins an episode; makes the environment if there is none, as after a failure."""
        if self._env is None:
            try:
                self._env = self._make()
                self._check_spaces()
            except Exception as error:
                return Failed.of(error, "making")
        try:
            observation, info = self._checks.reset(self._env.reset(seed=seed))
            self._take(observation, 0.0, False, False, info)
        except Exception as error:
            return self._fail(error, "reset")
        self._ended = False
        return None

    def step(self) -> Failed | None:
        """Takes the action in shared memory, or begins the next episode."""
        if self._ended:
            return self.reset(None)
        try:
            emitted = self._checks.step(self._env.step(self._rows.action(self._index)))
            self._take(*emitted)
        except Exception as error:
            return self._fail(error, "step")
        self._ended = bool(emitted[2] or emitted[3])
        return None

    def _take(self, observation: Any, reward: Any, terminated: bool, truncated: bool, info: dict) -> None:
        self._rows.write(self._index, observation, reward, terminated, truncated, info)
        self.observation = observation

    def _check_spaces(self) -> None:
        self._checks = Checks(self._env, self._env_id)
        for name in ("observation_space", "action_space"):
            given, wanted = getattr(self._env, name), getattr(self._rows, name)
            if given != wanted:
                raise SettingError(
                    f"{self._checks.prefix}: its {name} differs between environments: {one_line(given)}, "
                    f"{one_line(wanted)}"
                )

    def _fail(self, error: Exception, method: str) -> Failed:
        failed = Failed.of(error, method)
        self.close()
        return failed

    def close(self) -> None:
        """Ends the environment, if there is one."""
        env, self._env = self._env, None
        if env is not None:
            with contextlib.suppress(Exception):  # It may have failed before.
                env.close()


def leave_the_group() -> None:
    """Takes this process out of reach of signals to the main process's group, such as those of Ctrl-C and `timeout`."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # This also drops a signal that has come while they were blocked.
    os.setpgrp()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def end_with_parent() -> None:
    """Waits for the end of the main process; then ends this one, also if its environment hangs, and its children."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    time.sleep(LAST_SECS)
    os.killpg(0, signal.SIGKILL)
