"""Says what the learner's side asks of hosts of actors, and what they answer. Nothing here imports TensorFlow."""

import pickle
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from impala_tf.config import Config
from impala_tf.types import Unroll


class Plan(NamedTuple):
    """A host makes its actors by this plan, which is sent to it.

    config: settings of the run.
    spec: `environments.EnvironmentSpec` of the run.
    group: number of unrolls in an element of the learner's queue.
    make_torso: function of the same name of `impala_tf.train`.
    """

    config: Config
    spec: Any
    group: int
    make_torso: Callable | None = None


class Ready(NamedTuple):
    """The host has made its actors, and can be asked for unrolls."""


class HostUnroll(NamedTuple):
    """A host's answer: the unrolls of all environments of one actor.

    unroll: numpy arrays in the queue's groups, [num_groups, ...] for each leaf.
    act_secs, environment_secs: seconds that it took, and those of them in the environments.
    idle_secs: seconds between the host's last unroll and the request for this one.
    env_restarts: number of environments that were made anew since the host's last unroll.
    """

    unroll: Unroll
    act_secs: float
    environment_secs: float
    idle_secs: float
    env_restarts: int = 0


class Lost(NamedTuple):
    """The host is gone, and with it the unroll that it was asked for. why: text for the reader."""

    why: str


class Elsewhere(Exception):
    """The traceback of an exception in another process; the cause of the one that is raised here."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


class Failure(NamedTuple):
    """The host's code raised this, so the run ends. error: the exception. trace: its traceback there."""

    error: Exception
    trace: str

    @classmethod
    def of(cls, error: Exception) -> "Failure":
        """Makes an answer that can be sent; an exception that cannot be pickled becomes a RuntimeError of its text."""
        trace = "".join(traceback.format_exception(error))
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # What an exception of somebody else's does when it is copied may be anything.
            error = RuntimeError(f"{type(error).__name__}: {error}")
        return cls(error.with_traceback(None), trace)

    def throw(self) -> None:
        """Raises the exception, with its traceback there as the cause."""
        raise self.error from Elsewhere(self.trace)


Answer = Ready | HostUnroll | Lost | Failure


class Hosts(Protocol):
    """The learner's side needs this of the hosts, which are numbered from 0.

    num_weight_puts: property, number of versions of the weights that were handed out.
    start: method that makes a host's actors, or makes them again; the answer is Ready. seed: seed of its actors.
    ask: method that asks a host for one unroll with the flat weights [num_parameters]. A host that answers is asked
        again only after its last unroll is not needed any more.
    answers: method that waits for answers, at most `timeout` seconds; each request has one.
    have_place: method that says whether there is a machine on which a host could be.
    where: method that says for the reader where a host is.
    close: method that ends all hosts.
    """

    @property
    def num_weight_puts(self) -> int: ...

    def start(self, host: int, seed: int) -> None: ...

    def ask(self, host: int, version: int, flat_weights: Any) -> None: ...

    def answers(self, timeout: float) -> list[tuple[int, Answer]]: ...

    def have_place(self) -> bool: ...

    def where(self, host: int) -> str: ...

    def close(self) -> None: ...


def indices_of_hosts(num_actors: int, actors_per_host: int) -> list[range]:
    """Returns the indices of each host's actors; the last host may have fewer than the others."""
    return [range(first, min(first + actors_per_host, num_actors)) for first in range(0, num_actors, actors_per_host)]


def named(indices: range) -> str:
    """Returns "actor 3" or "actors 4 to 7"."""
    return f"actor {indices[0]}" if len(indices) == 1 else f"actors {indices[0]} to {indices[-1]}"
