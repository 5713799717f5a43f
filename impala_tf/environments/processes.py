"""Makes a vector with a process for each environment."""

import functools
import os
import signal
from collections.abc import Callable

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv

from impala_tf.spaces import observation_spaces

CLOSE_SECS = 5  # Environments may take so long to finish their step.


def make_process_vector(make: Callable[[], gym.Env], num_envs: int, observation_space: gym.Space) -> AsyncVectorEnv:
    """Makes a vector whose environments each have a process of their own.

    make: a function that makes one environment, and can be pickled.
    observation_space: the observation space of one environment.
    """
    makers = [functools.partial(_make_in_own_process, make, os.getpid())] * num_envs
    # gymnasium reads texts in shared memory once only, when the vector is made.
    has_texts = any(map(observation_spaces.is_text, observation_spaces.leaves(observation_space).values()))
    # "spawn" starts clean processes: forking one that runs TensorFlow's threads can hang.
    return AsyncVectorEnv(makers, context="spawn", shared_memory=not has_texts)


def _make_in_own_process(make: Callable[[], gym.Env], main_pid: int) -> gym.Env:
    """Makes an environment out of reach of the signals that are sent to the main process and its group.

    Ctrl-C and `timeout` signal a whole group of processes, but the main process decides what a signal means.
    gymnasium also calls the first maker in the main process, to learn the spaces; that one must stay as it is.
    """
    if os.getpid() != main_pid:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(os, "setpgrp"):
            os.setpgrp()
    return make()


def close_process_vector(vector: AsyncVectorEnv) -> None:
    """Ends the processes, also when one of them has died already; gymnasium would leave the others behind."""
    try:
        vector.close(timeout=CLOSE_SECS)
    except Exception:  # The kind of error depends on how the process died.
        for process in vector.processes:
            process.kill()
        vector.closed = True
