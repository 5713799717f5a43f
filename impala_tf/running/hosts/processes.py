"""Has hosts of actors in other processes of this machine, without Ray."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import time
from multiprocessing import connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import cloudpickle
import numpy as np

from impala_tf.config import SettingError
from impala_tf.experience.unroll_spec import UnrollSpec
from impala_tf.running.hosts.actor_host import ActorHost, limit_process
from impala_tf.running.hosts.answers import Answer, Failure, HostUnroll, Lost, Plan, Ready, indices_of_hosts, named
from impala_tf.running.hosts.memory import SLOTS, UnrollMemory, WeightMemory, check_room

CLOSE_SECS = 3.0  # Hosts may take so long to finish their unrolls.
# The fork server imports these once; every host is a fork of it, which has half the memory and a third of the CPU
# seconds of one that imports them itself. TensorFlow may be forked as long as no op has run.
PRELOADED = ["impala_tf.running.hosts.preloaded"]


NOT_HERE: Any = None  # The unroll of an answer lies in shared memory.


class ProcessHosts:
    """These are the `Hosts` in processes; see `answers.Hosts`. A pipe says which unroll and which weights are where.

    spec: spec of one unroll. num_parameters: number of the weights.
    """

    def __init__(self, plan: Plan, spec: UnrollSpec, num_parameters: int):
        self._plan = cloudpickle.dumps(plan)  # It also takes functions of notebooks and closures.
        self._indices = indices_of_hosts(plan.config.num_actors, plan.config.actors_per_host)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._num_parameters = num_parameters
        self._weights = WeightMemory()
        self._processes: dict[int, Any] = {}
        self._pipes: dict[int, connection.Connection] = {}
        self._slots = [0] * len(self._indices)
        self._unrolls: list[UnrollMemory] = []
        num_hosts, size = len(self._indices), 4 * num_parameters
        for _ in range(num_hosts):
            self._unrolls.append(UnrollMemory(spec, plan.config.num_envs_per_actor, plan.group))
        try:
            check_room(num_hosts * self._unrolls[0].size + (num_hosts + 1) * size)
        except SettingError:
            self.close()
            raise

    @property
    def num_weight_puts(self) -> int:
        return self._weights.num_puts

    def start(self, host: int, seed: int) -> None:
        here, there = self._context.Pipe()
        self._processes[host] = self._context.Process(
            target=serve,
            args=(there, self._plan, self._indices[host], seed, self._unrolls[host].name, self._num_parameters),
            name=named(self._indices[host]),
            daemon=True,
        )
        self._processes[host].start()
        there.close()
        self._pipes[host] = here

    def ask(self, host: int, version: int, flat_weights: Any) -> None:
        name = self._weights.put(host, version, flat_weights)
        self._slots[host] = (self._slots[host] + 1) % SLOTS
        with contextlib.suppress(OSError):  # The process is gone, as the next look at the pipe will say.
            self._pipes[host].send((version, name, self._slots[host]))

    def answers(self, timeout: float) -> list[tuple[int, Answer]]:
        ready = connection.wait(list(self._pipes.values()), timeout)
        return [(host, self._answer(host)) for host, pipe in list(self._pipes.items()) if pipe in ready]

    def _answer(self, host: int) -> Answer:
        try:
            answer, without = self._pipes[host].recv()
        except (EOFError, OSError):
            return self._lost(host)
        if isinstance(answer, HostUnroll):
            return answer._replace(unroll=self._unrolls[host].read(self._slots[host], without))
        return answer

    def _lost(self, host: int) -> Lost:
        process = self._processes.pop(host)
        self._pipes.pop(host).close()
        process.join(CLOSE_SECS)
        code = process.exitcode
        how = f"by {signal.Signals(-code).name}" if code and code < 0 else f"with exit code {code}"
        return Lost(f"their process, {process.pid}, has ended {how}")

    def have_place(self) -> bool:
        return True

    def where(self, host: int) -> str:
        process = self._processes.get(host)
        return f"process {process.pid}" if process else "no process"

    def close(self) -> None:
        for pipe in self._pipes.values():
            with contextlib.suppress(OSError):
                pipe.send(None)
        deadline = time.monotonic() + CLOSE_SECS
        for process in self._processes.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        for pipe in self._pipes.values():
            pipe.close()
        self._weights.close()
        for memory in self._unrolls:
            memory.close()


def serve(
    pipe: connection.Connection, pickled_plan: bytes, indices: range, seed: int, unrolls: str, num_parameters: int
) -> None:
    """Does the work of a host's process: makes the actors, and answers each message until None comes.

    A message is (version of the weights, name of their memory, slot for the unroll). An answer is an `Answer`, whose
    unroll is in the slot, and the leaves that have no place there.

    unrolls: name of the memory of the unrolls.
    """
    # Ctrl-C and `timeout` signal a whole group of processes; the learner's process decides what a signal means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setpgrp()
    limit_process()
    answer: Answer = Ready()
    try:
        server = _Server(pickle.loads(pickled_plan), indices, seed, unrolls, num_parameters)
    except Exception as error:
        answer = Failure.of(error)
    with contextlib.suppress(EOFError, OSError):  # The learner's process is gone.
        pipe.send((answer, []))
        while not isinstance(answer, Failure) and (message := pipe.recv()) is not None:
            answer, without = server.answer(*message)
            pipe.send((answer, without))
        if not isinstance(answer, Failure):
            server.host.close()


class _Server:
    """Makes unrolls from shared memory into shared memory. The arguments are those of `serve`."""

    def __init__(self, plan: Plan, indices: range, seed: int, unrolls: str, num_parameters: int):
        self.host = ActorHost(plan, indices, seed)
        self._unrolls = UnrollMemory(self.host.spec, plan.config.num_envs_per_actor, plan.group, unrolls)
        self._num_parameters = num_parameters
        self._weights: dict[str, tuple[SharedMemory, np.ndarray]] = {}

    def answer(self, version: int, name: str, slot: int) -> tuple[Answer, list[np.ndarray]]:
        try:
            answer = self.host.unroll(version, self._weights_at(name))
            without = self._unrolls.write(slot, answer.unroll)
        except Exception as error:
            return Failure.of(error), []
        return answer._replace(unroll=NOT_HERE), without

    def _weights_at(self, name: str) -> np.ndarray:
        if name not in self._weights:
            memory = SharedMemory(name)
            self._weights[name] = memory, np.ndarray([self._num_parameters], np.float32, memory.buf)
        return self._weights[name][1]
