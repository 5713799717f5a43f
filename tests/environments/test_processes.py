"""Environments in processes of their own."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.support.vectors import make_vector


def test_environments_in_processes_are_not_signalled_with_ours():
    environment = make_vector("CartPole-v1", num_envs=2, vectorization="async")
    processes = environment._env.processes
    environment.reset()
    assert all(os.getpgid(process.pid) != os.getpgid(0) for process in processes)
    environment.close()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize("leads_a_session", [False, True])
def test_environments_in_processes_leave_the_main_process_as_it_is(leads_a_session):
    """gymnasium makes the first environment in the main process as well, to learn its spaces.

    A process that leads a session, as a container's first does, may not even leave its group.
    """
    program = """if __name__ == "__main__":
        import os, signal
        from tests.support.vectors import make_vector
        before = os.getpgid(0), signal.getsignal(signal.SIGINT)
        make_vector("CartPole-v1", num_envs=1, vectorization="async").close()
        assert (os.getpgid(0), signal.getsignal(signal.SIGINT)) == before"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, start_new_session=leads_a_session, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_when_one_process_has_died_the_others_end_too():
    environment = make_vector("CartPole-v1", num_envs=2, vectorization="async")
    environment.reset()
    processes = environment._env.processes
    processes[0].kill()
    processes[0].join()
    with pytest.raises((ConnectionError, EOFError)):
        environment.step(np.zeros(2, int))
    environment.close()
    for process in processes:
        process.join(timeout=20)
        assert not process.is_alive()
