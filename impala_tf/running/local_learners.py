"""Has several learners as processes of this machine."""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from impala_tf.config import Config, SettingError

# Nothing may be loaded between fork and exec, where other threads do not exist.
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1  # man prctl


class LocalLearner:
    """A learner's process.

    arguments: flags of python -m impala_tf.experiment. output: file of what it prints; None shows it with ours.
    environment: environment variables that differ from ours.
    """

    def __init__(self, arguments: Sequence[str], output: pathlib.Path | None, environment: dict[str, str]):
        self._output = output
        with contextlib.nullcontext() if output is None else output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "impala_tf.experiment", *arguments],
                stdout=file,
                stderr=file,
                env=os.environ | environment,
                preexec_fn=_begin,
            )

    def poll(self) -> int | None:
        """Returns the exit code, negative for a signal's number, or None while the process runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kills the process, if it runs, and waits for its end."""
        self._process.kill()
        self._process.wait()

    def output(self) -> str:
        """Returns what a learner has printed whose output is not shown."""
        return self._output.read_text(errors="replace") if self._output else ""


class LocalLearners:
    """These are the `Place` of learners on this machine; see `launcher.Place`."""

    def __init__(self, config: Config):
        self._num = config.num_learners
        self._gpus = gpu_of_each(self._num)
        self._outputs = tempfile.TemporaryDirectory()

    def start(self, arguments: Sequence[str]) -> list[LocalLearner]:
        directory = pathlib.Path(self._outputs.name)
        hosts = ",".join(f"localhost:{port}" for port in free_ports(self._num))
        return [
            LocalLearner(
                [*arguments, f"--learner_hosts={hosts}", f"--learner_index={index}"],
                directory / f"{index}.txt" if index else None,
                {"CUDA_VISIBLE_DEVICES": self._gpus[index]} if self._gpus else {},
            )
            for index in range(self._num)
        ]

    def close(self) -> None:
        self._outputs.cleanup()


def free_ports(num: int) -> list[int]:
    """Returns ports on which nobody listens."""
    sockets = [socket.socket() for _ in range(num)]
    for one in sockets:
        one.bind(("", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def gpu_of_each(num: int) -> list[str]:
    """Returns the GPU of each learner; nothing where there is none. Raises SettingError where there are too few."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None and shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True).stdout
        gpus = [str(i) for i, _ in enumerate(listed.splitlines())]
    else:
        gpus = [gpu for gpu in (visible or "").split(",") if gpu not in ("", "-1")]
    check_gpus(num, len(gpus), "set CUDA_VISIBLE_DEVICES to nothing")
    return gpus


def check_gpus(num_learners: int, num_gpus: int, or_else: str) -> None:
    """Raises SettingError when only some learners would have a GPU. or_else: what else would help."""
    if 0 < num_gpus < num_learners:
        raise SettingError(
            f"--num_learners={num_learners}: each learner needs a GPU of its own, and there are {num_gpus}; give at "
            f"most {num_gpus}, or {or_else}"
        )


def _begin() -> None:
    """Lets signals come, which Ray holds back, and lets Linux kill this process when its parent is gone."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
