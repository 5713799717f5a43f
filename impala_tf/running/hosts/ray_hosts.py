"""Has hosts of actors on a Ray cluster. Nothing here imports TensorFlow or Ray before it is needed."""

import importlib.util
import logging
import os
import signal
import socket
import threading
import time
from typing import Any

import numpy as np

from impala_tf.config import Config, SettingError
from impala_tf.environments import available_cores
from impala_tf.running.hosts.answers import Answer, Failure, Lost, Plan, Ready, indices_of_hosts
from impala_tf.support.messages import one_line

# Ray says these of a process or a node that is gone, and of an answer that went with it. Ray restarts the actor.
LOSSES = ("RayActorError", "ObjectLostError", "NodeDiedError", "WorkerCrashedError", "OutOfMemoryError")
LONGEST_REASON = 120  # Ray explains over many lines.
CONNECT_SECS = 10.0
INLINE_BYTES = 100_000  # Ray sends smaller arguments with the call, which takes less CPU than its store.
IDLE_SECS = 0.1  # So long nobody is asked while every host is lost.


class RayHost:
    """A host in a Ray actor. It exists before its `ActorHost`, so that TensorFlow is imported when `start` is called.

    Ray makes a lost one anew. It has no arguments, because Ray loses large ones with their node; `start` has them, and
    another seed each time.
    """

    def __init__(self) -> None:
        self._host: Any = None

    def start(self, plan: Plan, indices: range, seed: int) -> Answer:
        """Makes the actors, if they do not exist yet."""
        if self._host is not None:
            return Ready()
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        try:
            from impala_tf.running.hosts.actor_host import ActorHost, limit_process

            limit_process()
            self._host = ActorHost(plan, indices, seed)
        except Exception as error:
            return Failure.of(error)
        return Ready()

    def unroll(self, version: int, weights: np.ndarray) -> Answer:
        """Makes one unroll; see `ActorHost.unroll`."""
        if self._host is None:
            return Lost("it was made anew")
        try:
            return self._host.unroll(version, weights)
        except Exception as error:
            return Failure.of(error)


class RayHosts:
    """These are the `Hosts` on a Ray cluster; see `answers.Hosts`.

    Each is a Ray actor that needs as many CPUs as its environments have threads. Those that find no place wait in Ray
    until a node with free CPUs joins. Ray itself restarts a lost one, on another node if its own is gone. An unroll
    that was lost is not made again: a repeated call would act with old weights.
    """

    def __init__(self, plan: Plan):
        self._plan = plan
        self._indices = indices_of_hosts(plan.config.num_actors, plan.config.actors_per_host)
        self._cpus = max(1, plan.config.env_threads)
        self._ray, self._is_ours = join(plan.config, self._cpus * len(self._indices))
        self._losses = tuple(getattr(self._ray.exceptions, name) for name in LOSSES)
        self._make = self._ray.remote(
            num_cpus=self._cpus, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD"
        )(RayHost)
        self._actors: dict[int, Any] = {}
        self._asked: dict[Any, int] = {}  # The host of each request.
        self._version = -1
        self._weights: Any = None  # They are the array, or where it is in Ray's store.
        self.num_weight_puts = 0

    def start(self, host: int, seed: int) -> None:
        if host not in self._actors:
            self._actors[host] = self._make.remote()
        self._asked[self._actors[host].start.remote(self._plan, self._indices[host], seed)] = host

    def ask(self, host: int, version: int, flat_weights: Any) -> None:
        if version != self._version:
            weights = np.asarray(flat_weights)
            self._version = version
            self._weights = weights if weights.nbytes < INLINE_BYTES else self._ray.put(weights)
            self.num_weight_puts += 1
        self._asked[self._actors[host].unroll.remote(version, self._weights)] = host

    def answers(self, timeout: float) -> list[tuple[int, Answer]]:
        if not self._asked:
            time.sleep(min(timeout, IDLE_SECS))
            return []
        ready, _ = self._ray.wait(list(self._asked), num_returns=1, timeout=timeout)
        return [self._answer(reference) for reference in ready]

    def _answer(self, reference: Any) -> tuple[int, Answer]:
        host = self._asked.pop(reference)
        try:
            return host, self._ray.get(reference)
        except self._losses as error:
            if isinstance(error, self._ray.exceptions.ActorDiedError):  # Ray has given it up, as one that others kill.
                self._actors.pop(host, None)
            return host, Lost(f"{type(error).__name__}: {one_line(error)[:LONGEST_REASON]}")

    def have_place(self) -> bool:
        return any(node["Alive"] and node["Resources"].get("CPU", 0) >= self._cpus for node in self._ray.nodes())

    def where(self, host: int) -> str:
        return "on the Ray cluster"

    def close(self) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        if self._is_ours:
            self._ray.shutdown()


def join(config: Config, num_cpus: int) -> tuple[Any, bool]:
    """Joins the cluster of --ray_address, or starts one on this machine.

    num_cpus: number of CPUs that one which is started here says that it has, so that all hosts find a place.

    Returns (the module ray, whether the caller has to leave the cluster). A program that is in a cluster stays there.
    Raises SettingError when there is no such cluster.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)  # Ray says where it is, and how to see its dashboard.
    import ray

    if ray.is_initialized():
        return ray, False
    address = config.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    settings: dict[str, Any] = dict(log_to_driver=False, logging_level=logging.ERROR)
    if address == "local":
        settings |= dict(num_cpus=max(num_cpus, available_cores()), include_dashboard=False)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, **settings)
    except Exception as error:  # Ray raises a bare one where a busy machine takes more than 30 seconds to start it.
        raise SettingError(f"--ray_address={config.ray_address}: {one_line(error)[:200]}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own handler would end the program at once.
    return ray, True


def check_ray(config: Config) -> None:
    """Raises SettingError when Ray is needed and not installed, or nobody listens at HOST:PORT of --ray_address.

    Ray itself would try for a minute to reach it, and then end the program.
    """
    needing = [name for name in ("actor_backend", "learner_backend") if getattr(config, name) == "ray"]
    if needing and importlib.util.find_spec("ray") is None:
        raise SettingError(f"--{needing[0]}=ray: Ray is not installed: pip install 'impala_tf[ray]'")
    host, _, port = config.ray_address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECS).close()
        except (OSError, OverflowError) as error:
            raise SettingError(
                f"--ray_address={config.ray_address}: no cluster there ({one_line(error)}); give the address that "
                "`ray start --head` printed"
            ) from None
