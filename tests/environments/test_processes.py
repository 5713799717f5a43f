"""Environments in processes of their own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from impala_tf.support.failures import EnvironmentFailure
from tests.support.faulty import HANGING
from tests.support.paths import ROOT
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
    """A process that leads a session, as a container's first does, may not even leave its group."""
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
    with pytest.raises(EnvironmentFailure, match=r"environment 0 of actor 0 .* which ended by SIGKILL"):
        environment.step(np.zeros(2, int))
    environment.close()
    for process in processes:
        process.join(timeout=20)
        assert not process.is_alive()


STEPPING = """if __name__ == "__main__":
    import numpy as np
    from impala_tf.support import signals
    from tests.support.vectors import make_vector
    environment = make_vector("{env_id}", num_envs={num_envs}, vectorization="async")
    with signals.requests() as request:
        environment.reset()
        print(*(process.pid for process in environment._env.processes), flush=True)
        while not request.made:
            environment.step(np.zeros({num_envs}, int))
    environment.close()
    print("closed", flush=True)"""


def start(command, **fields):
    """Starts a program that steps environments in processes. Returns it and these processes."""
    program = STEPPING.format(**fields)
    process = subprocess.Popen(
        command(program),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    return process, [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]


def test_the_processes_end_with_the_main_one_also_when_an_environment_hangs():
    """The main process is killed while it waits for a step of 1,000 seconds."""
    main, processes = start(lambda program: [sys.executable, "-c", program], env_id=HANGING, num_envs=1)
    time.sleep(0.5)  # The program may be late, and then the environment does not hang yet; it ends all the same.
    main.kill()
    main.wait()  # Its output ends only with the processes.
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive


def test_ctrl_c_under_a_script_reaches_the_main_process_alone(tmp_path):
    """As `bash train.sh` does it: the terminal signals the shell, the main process and whatever is in their group."""
    script = tmp_path / "train.sh"

    def in_a_script(program):
        (tmp_path / "program.py").write_text(program)
        script.write_text(f'"{sys.executable}" "{tmp_path / "program.py"}"\necho "ended with $?"\n')
        return ["bash", str(script)]

    shell, processes = start(in_a_script, env_id="CartPole-v1", num_envs=2)
    os.killpg(shell.pid, signal.SIGINT)
    printed, errors = shell.communicate(timeout=60)
    assert printed == "closed\nended with 0\n"
    assert "Traceback" not in errors
    assert errors.count("SIGINT") == 1
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive
