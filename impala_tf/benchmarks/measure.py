"""Measures steps per second and CPU seconds per step, and describes the machine."""

import datetime
import importlib.metadata
import pathlib
import platform
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import psutil
import tensorflow as tf

from impala_tf.environments import available_cores


class Rate(NamedTuple):
    """A rate says how fast something is.

    steps_per_sec: agent steps per second of wall time.
    cpu_secs_per_step: CPU seconds that a step takes, all cores together.
    """

    steps_per_sec: float
    cpu_secs_per_step: float


def cpu_secs() -> float:
    """Returns the CPU seconds that this process and its children have used so far.

    Children are counted because environments can run in processes of their own.
    """
    parent = psutil.Process()
    total = 0.0
    for process in (parent, *parent.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def measure_in_threads(works: list[Callable[[], int]], secs: float) -> Rate:
    """Measures how many agent steps functions make in threads of their own.

    works: functions that return how many agent steps they made; each runs again and again in a thread of its own.
    secs: length of the measurement, after one call of each function that is not measured.
    Raises what a function raised.
    """
    counts = [0] * len(works)
    errors: list[Exception] = []
    end = threading.Event()

    def loop(i: int) -> None:
        try:
            while not end.is_set():
                counts[i] += works[i]()
        except Exception as error:
            errors.append(error)

    for work in works:
        work()  # The first call traces graphs and resets environments.
    threads = [threading.Thread(target=loop, args=(i,), daemon=True) for i in range(len(works))]
    started, cpu = time.perf_counter(), cpu_secs()
    for thread in threads:
        thread.start()
    time.sleep(secs)
    end.set()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    steps = max(1, sum(counts))
    return Rate(steps / (time.perf_counter() - started), (cpu_secs() - cpu) / steps)


def median(rates: list[Rate]) -> Rate:
    """Returns the median of the speeds and that of the costs, each for itself."""
    return Rate(*(statistics.median(values) for values in zip(*rates, strict=True)))


def describe_machine() -> dict:
    """Describes what a figure depends on: processors, memory, versions, and the commit that is measured."""
    versions = {"python": platform.python_version()}
    for package in ("tensorflow", "keras", "numpy", "gymnasium", "ale-py", "envpool"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    return dict(
        cpu=_cpu_name(),
        cores=available_cores(),
        gpu=[gpu.get("device_name", "unknown") for gpu in gpus],
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        load_before=round(psutil.getloadavg()[0], 2),
        versions=versions,
        date=datetime.datetime.now().isoformat(timespec="seconds"),
        commit=_commit(),
    )


def _cpu_name() -> str:
    """Returns the processor's name, which only Linux tells in full."""
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Returns the commit of the checkout, with -dirty where it has changes; nothing where it is no checkout."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
