"""Starts several learners as processes of this machine, and all again from the checkpoint when one dies."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from impala_tf import environments
from impala_tf.config import Config, SettingError, to_flag_lines
from impala_tf.records.logdir import LogDir
from impala_tf.support import signals
from impala_tf.support.messages import warn
from impala_tf.support.others import LOST

MAX_RESTARTS = 3
PATIENCE_SECS = 20.0  # After the first has ended with an error, the others have so long to notice.
POLL_SECS = 0.1
LAST_LINES = 30  # A learner that is not the chief shows so many lines of its output, if its error ends the run.


def launch(config: Config) -> int:
    """Trains with --num_learners processes until all have ended. Returns the exit code of the run.

    Raises SettingError for a wrong setting, before any process is started.
    """
    environments.spec_for_training(config)
    devices = _gpu_of_each(config.num_learners)
    logdir = LogDir(config, lambda line: None)  # The chief says the same lines.
    with (
        signals.requests("the learners finish the update in hand") as request,
        tempfile.TemporaryDirectory() as outputs,
    ):
        for restart in range(1, MAX_RESTARTS + 2):
            files = [pathlib.Path(outputs) / f"{index}.txt" for index in range(config.num_learners)]
            processes = _start(config, logdir.path, files, devices)
            try:
                codes = _wait(processes, request)
            finally:
                _kill(processes)
            cause, code = _outcome(codes)
            if code == 0 or request.made:
                return code
            if code != LOST:
                if cause:
                    _show(cause, files[cause])
                logdir.remove_if_empty()
                return code
            what = f"learner {cause} {_how(codes[cause])}"
            if restart > MAX_RESTARTS:
                warn(
                    f"{what}; that was the {restart}th time, so the run ends; its checkpoints are kept in {logdir.path}"
                )
                return code
            warn(f"{what}; all start again from the last checkpoint (restart {restart} of {MAX_RESTARTS})")
    raise AssertionError("the loop returns")


def _start(config: Config, logdir: pathlib.Path, files: list[pathlib.Path], devices: list[str]) -> list:
    """Starts the learners. The chief has this process's output, the others have files."""
    hosts = ",".join(f"localhost:{port}" for port in _free_ports(len(files)))
    processes = []
    for index, path in enumerate(files):
        command = [sys.executable, "-m", "impala_tf.experiment", *to_flag_lines(config)]
        command += [f"--logdir={logdir}", f"--learner_hosts={hosts}", f"--learner_index={index}"]
        environment = os.environ | ({"CUDA_VISIBLE_DEVICES": devices[index]} if devices else {})
        with path.open("wb") as file:
            output = None if index == 0 else file
            processes.append(subprocess.Popen(command, stdout=output, stderr=output, env=environment))
    return processes


def _wait(processes: list[subprocess.Popen], request: signals.Request) -> list[int | None]:
    """Waits for all learners, asks them to end when a signal comes, and kills those that do not end after an error.

    Returns their exit codes; None for those that were killed here.
    """
    asked = False
    deadline: float | None = None
    while True:
        codes = [process.poll() for process in processes]
        if None not in codes:
            return codes
        if request.made and not asked:
            asked = True
            for process in processes:
                process.send_signal(signal.SIGINT)
        if deadline is None and any(code not in (None, 0) for code in codes):
            deadline = time.monotonic() + PATIENCE_SECS
        ended = {code for code in codes if code is not None}
        # One is left, and all others have ended because of it.
        if deadline is not None and (time.monotonic() > deadline or (ended == {LOST} and codes.count(None) == 1)):
            return codes
        time.sleep(POLL_SECS)


def _kill(processes: list[subprocess.Popen]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def _outcome(codes: Sequence[int | None]) -> tuple[int, int]:
    """Returns the learner that caused the end, and the exit code of the run.

    codes: exit codes of the learners; None for one that did not answer.

    The code is LOST where another start may do better.
    """
    own_errors = [index for index, code in enumerate(codes) if code is not None and code > 0 and code != LOST]
    if own_errors:
        return own_errors[0], codes[own_errors[0]] or 0
    gone = [index for index, code in enumerate(codes) if code is None or code < 0]
    lost = [index for index, code in enumerate(codes) if code == LOST]
    return ((gone or lost)[0], LOST) if gone or lost else (0, 0)


def _how(code: int | None) -> str:
    if code is None:
        return "did not answer"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else "lost the others"


def _show(index: int, path: pathlib.Path) -> None:
    for line in path.read_text(errors="replace").splitlines()[-LAST_LINES:]:
        warn(f"learner {index}: {line}")


def _free_ports(num: int) -> list[int]:
    sockets = [socket.socket() for _ in range(num)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _gpu_of_each(num: int) -> list[str]:
    """Returns the GPU of each learner; nothing where there is none. Raises SettingError where there are too few."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None and shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True).stdout
        gpus = [str(i) for i, _ in enumerate(listed.splitlines())]
    else:
        gpus = [gpu for gpu in (visible or "").split(",") if gpu not in ("", "-1")]
    if gpus and len(gpus) < num:
        raise SettingError(
            f"--num_learners={num}: each learner needs a GPU of its own, and there are {len(gpus)}; give at most "
            f"{len(gpus)}, or set CUDA_VISIBLE_DEVICES to nothing"
        )
    return gpus
