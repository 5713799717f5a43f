"""Says where a run's time went: who waited for whom, and which setting would change it."""

from typing import NamedTuple

# A side that waits for a smaller share of its time than this is the one that limits the run.
LONG_WAIT = 0.3


class Seconds(NamedTuple):
    """These are the seconds of each kind of work and waiting, summed over the run and over all actors.

    wait: the learner waits for a batch; in A3C the workers wait for the shared weights.
    update: the learner learns from a batch; in A3C the workers apply gradients to the shared weights.
    weights: actors wait for new weights (A2C).
    turn: actors wait for their turn.
    act: actors make unrolls.
    put: actors hand unrolls to the queue.
    environment: the environments step; it is a part of `act`.
    gradient: A3C's workers compute gradients.
    """

    wait: float
    update: float
    weights: float
    turn: float
    act: float
    put: float
    environment: float
    gradient: float


def explain(seconds: Seconds, rows_per_call: int, batch_size: int, architecture: str = "impala") -> str:
    """Returns two lines: the figures, and which part is the limit and what to try.

    rows_per_call: number of environments in one policy call. batch_size: number of unrolls in a batch.
    """
    if seconds.wait + seconds.update == 0:
        return "no update was timed"
    more_rows = "raise --num_envs_per_actor" + (" with --batch_size" if architecture != "impala" else "")
    waited = _share(seconds.wait, seconds.wait + seconds.update)
    actors = seconds.weights + seconds.turn + seconds.act + seconds.put
    # An actor keeps its turn while it waits for room in the queue; those that wait for the turn wait for the same.
    blocked = _share(seconds.put, actors - seconds.turn)
    idle = _share(seconds.weights, actors)
    in_environment = _share(seconds.environment, seconds.act)
    figures = (
        f"learner: {waited:.0%} waiting for unrolls, {1 - waited:.0%} updating; "
        f"actors: {blocked:.0%} handing unrolls to the queue{f', {idle:.0%} waiting for new weights' * (idle > 0.01)}; "
        f"acting: {in_environment:.0%} environment, {1 - in_environment:.0%} policy"
    )
    if waited < LONG_WAIT:
        verdict = (
            f"the learner is the limit (batches of {batch_size} unrolls): a larger --batch_size or --unroll_length, "
            "--xla=on, a smaller network or a GPU"
        )
    elif blocked > LONG_WAIT:
        verdict = (
            "the queue is the limit, both sides wait for it: a larger --queue_capacity, "
            "a --batch_size that divides or is divided by --num_envs_per_actor, smaller observations"
        )
    elif in_environment > 0.5:
        verdict = (
            "the environments are the limit: a faster form of them, --vectorization=async, more --num_actors "
            "or --concurrent_actors"
        )
    else:
        verdict = (
            f"the policy is the limit (calls of {rows_per_call} rows): {more_rows}, or use a smaller network, or "
            "--dynamic_batching on a GPU"
        )
    if idle > LONG_WAIT and waited > LONG_WAIT:
        verdict += "; actors and learner wait for each other, which --architecture=impala avoids"
    return f"{figures}\n{verdict}"


def explain_workers(seconds: Seconds, rows_per_call: int) -> str:
    """Returns these two lines for A3C, where the workers do everything."""
    if seconds.update == 0:
        return "no update was timed"
    parts = {
        "acting": seconds.act,
        "computing gradients": seconds.gradient,
        "waiting for the shared weights": seconds.wait,
        "updating them": seconds.update,
        "waiting for a turn to act": seconds.turn,
    }
    total = sum(parts.values())
    in_environment = _share(seconds.environment, seconds.act)
    figures = (
        f"workers: {', '.join(f'{_share(part, total):.0%} {name}' for name, part in parts.items())}; "
        f"acting: {in_environment:.0%} environment, {1 - in_environment:.0%} policy"
    )
    if seconds.gradient + seconds.update + seconds.wait > seconds.act:
        verdict = (
            f"the gradients are the limit (of {rows_per_call} unrolls): raise --num_envs_per_actor with --batch_size, "
            "or --architecture=impala, where one learner computes them in large batches"
        )
    elif in_environment > 0.5:
        verdict = "the environments are the limit: a faster form of them, --vectorization=async, more --num_actors"
    else:
        verdict = (
            f"the policy is the limit (calls of {rows_per_call} rows): raise --num_envs_per_actor with --batch_size"
        )
    return f"{figures}\n{verdict}"


def _share(part: float, total: float) -> float:
    return part / total if total > 0 else 0.0
