"""Has a vector with a process for each environment."""

import contextlib
import math
import multiprocessing
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from impala_tf.environments import worker
from impala_tf.environments.guard import RESTARTED, Guard
from impala_tf.environments.shared_rows import SharedRows
from impala_tf.support.failures import EnvironmentFailure, Failed
from impala_tf.support.messages import place_in_dump

CLOSE_SECS = 5.0  # Environments may take so long to finish their step and to close.
STACK_SECS = 0.5  # A process that hangs may take so long to write its stacks.
START_SECS = 600.0  # With a limit for steps, a reset may take so long: a process that begins imports first.
POLL_SECS = 1.0  # The end of a process whose children still hold the pipe is noticed after this time.


class ProcessVector:
    """Steps B environments in as many processes at the same time, with gymnasium's interface of a vector.

    The processes take no signals that are meant for this one, and end with it, however that ends.

    make: function that makes one environment, and can be pickled.
    observation_space, action_space: spaces of one environment.
    guard: guard of the B environments.
    timeout_secs: seconds that a step may take before its process is ended; 0 means any number.

    processes: the processes.
    """

    def __init__(
        self,
        make: Callable[[], gym.Env],
        observation_space: gym.Space,
        action_space: gym.Space,
        guard: Guard,
        timeout_secs: float = 0.0,
    ):
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs = num_envs = guard.num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        # "spawn" starts clean processes: forking one that runs TensorFlow's threads can hang.
        self._context = multiprocessing.get_context("spawn")
        self._rows = SharedRows(observation_space, action_space, num_envs, self._context)
        self._make = make
        self._guard = guard
        self._timeout_secs = timeout_secs
        self._start_secs = START_SECS if timeout_secs else 0.0
        self._num_rows = 0
        self._last_restarts = np.zeros(num_envs, int)  # The row in which each environment was last made.
        self._closed = False
        self._workers = [self._start(index) for index in range(num_envs)]

    @property
    def processes(self) -> list:
        return [process.process for process in self._workers]

    def reset(self, seed: Sequence[int]) -> tuple[Any, dict]:
        """Begins an episode in every environment. seed: seed of each. Returns (observation, info)."""
        for process, own_seed in zip(self._workers, seed, strict=True):
            process.ask(worker.RESET, own_seed)
        observation, _, _, _, info = self._row("reset", self._start_secs)
        return observation, info

    def step(self, actions: Any) -> tuple:
        """Returns (observation, reward, terminated, truncated, info); info has "lives".

        In the row of an environment that has failed and was made anew stands its reset; info[RESTARTED] has its index.
        """
        self._rows.write_actions(actions)
        for process in self._workers:
            process.ask(worker.STEP)
        return self._row("step", self._timeout_secs)

    def _row(self, method: str, limit_secs: float) -> tuple:
        self._num_rows += 1
        asked_at = time.monotonic()
        restarted = []
        for index in range(self.num_envs):
            failed = self._workers[index].answer(method, limit_secs, asked_at)
            if failed:
                self._restart(index, failed)
                restarted.append(index)
        row = self._rows.read([process.observation for process in self._workers])
        if restarted:
            row[-1][RESTARTED] = np.isin(np.arange(self.num_envs), restarted)
        return row

    def _restart(self, index: int, failed: Failed | None) -> None:
        """Makes the environment anew, in a new process where the old one has ended, until its reset succeeds."""
        while failed:
            if self._closed:
                raise EnvironmentFailure(
                    f"--env_id={self._guard.env_id}: the environments were closed in the middle of a step"
                )
            seed = self._guard.failed(index, failed, bool(self._num_rows - self._last_restarts[index] <= 1))
            self._last_restarts[index] = self._num_rows
            if not self._workers[index].process.is_alive():
                self._workers[index].end(0.0)
                self._workers[index] = self._start(index)
            self._workers[index].ask(worker.RESET, seed)
            failed = self._workers[index].answer("reset", self._start_secs, time.monotonic())

    def _start(self, index: int) -> "_Process":
        return _Process(
            self._context, (self._make, self._guard.env_id, index, self._rows), not self._rows.has_observations
        )

    def close(self) -> None:
        """Ends the environments and the processes, within a few seconds."""
        self._closed = True
        for process in self._workers:
            process.ask(worker.CLOSE)
        deadline = time.monotonic() + CLOSE_SECS
        for process in self._workers:
            process.end(deadline)


class _Process:
    """This is the process of one environment, as the main process sees it.

    arguments: arguments of `worker.work` behind the pipe.
    takes_observations: whether observations come through the pipe.

    observation: the last of these observations.
    """

    def __init__(self, context: Any, arguments: tuple, takes_observations: bool):
        self._pipe, there = context.Pipe()
        self.process = context.Process(target=worker.work, args=(there, *arguments), daemon=True)
        with _without_signals():
            self.process.start()
        there.close()
        self._poll = select.poll()
        self._poll.register(self._pipe.fileno(), select.POLLIN)
        self._takes_observations = takes_observations
        self.observation: Any = None

    def ask(self, request: bytes, content: Any = None) -> None:
        """Sends a request. content: seed of a RESET."""
        with contextlib.suppress(OSError):  # The process has ended, as its answer will say.
            os.write(self._pipe.fileno(), request)
            if request == worker.RESET:
                self._pipe.send(content)

    def answer(self, method: str, limit_secs: float = 0.0, asked_at: float = 0.0) -> Failed | None:
        """Waits for the answer to a request. Returns None, or how the environment failed.

        method: method of the environment that was asked for.
        limit_secs: seconds after which the process is killed; 0 means none.
        asked_at: instant of time.monotonic() from which they count.
        """
        deadline = asked_at + limit_secs if limit_secs else math.inf
        while not self._poll.poll(1000 * max(0.0, min(POLL_SECS, deadline - time.monotonic()))):
            if not self.process.is_alive():
                return self._death()
            if time.monotonic() >= deadline:
                return self._hang(method, limit_secs)
        try:
            mark = os.read(self._pipe.fileno(), 1)
            if mark == worker.FAILED:
                return self._pipe.recv()
            if mark == worker.DONE:
                if self._takes_observations:
                    self.observation = self._pipe.recv()
                return None
        except (OSError, EOFError):
            pass
        return self._death()

    def _hang(self, method: str, limit_secs: float) -> Failed:
        """Ends a process that hangs, and says where it was."""
        dump = b""
        with contextlib.suppress(OSError):
            os.kill(self.process.pid, worker.STACK_SIGNAL)
            while self._poll.poll(1000 * STACK_SECS) and (part := os.read(self._pipe.fileno(), 2**16)):
                dump += part
        self.kill()
        text = dump.decode(errors="replace")
        return Failed(
            f"has been in its {method} for {limit_secs:g} s, so its process was ended{place_in_dump(text)}", text
        )

    def _death(self) -> Failed:
        self.process.join(CLOSE_SECS)
        self.kill()
        code = self.process.exitcode
        how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
        return Failed(f"has lost its process, {self.process.pid}, which ended {how}")

    def end(self, deadline: float) -> None:
        """Waits for the process to end until the deadline, an instant of time.monotonic(), and then kills it."""
        self.process.join(max(0.0, deadline - time.monotonic()))
        self.kill()
        self._pipe.close()

    def kill(self) -> None:
        """Ends the process and the environment's own children."""
        if self.process.is_alive():
            with contextlib.suppress(OSError):  # It has no group of its own yet.
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()


@contextlib.contextmanager
def _without_signals():
    """Blocks signals in this thread and in a process that it starts, which would otherwise be hit while it begins."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, worker.SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
