"""Where a run's time went, in plain words: who waited for whom, and which setting would change it."""

from typing import NamedTuple

# A side that waits for less than this part of its time is what the other side waits for.
_MUCH = 0.3


class Seconds(NamedTuple):
    """Summed over the run.

    wait, update: the learner's, waiting for a batch and learning from it. In A3C the workers', waiting for the shared
    weights and applying gradients to them.
    weights, turn, act, put: of all actors together, waiting for new weights (A2C) and for their turn, making unrolls,
    and handing them to the queue.
    environment: the part of `act` inside the environments' step.
    gradient: of A3C's workers, computing gradients.
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
    """Two lines: the figures, and what is the limit and what to try.

    rows_per_call: environments in one policy call. batch_size: unrolls in a batch.
    """
    if seconds.wait + seconds.update == 0:
        return "no update was timed"
    more_rows = "raise --num_envs_per_actor" + (" with --batch_size" if architecture != "impala" else "")
    waited = _share(seconds.wait, seconds.wait + seconds.update)
    actors = seconds.weights + seconds.turn + seconds.act + seconds.put
    blocked = _share(seconds.put, actors)
    idle = _share(seconds.weights, actors)
    in_environment = _share(seconds.environment, seconds.act)
    figures = (
        f"learner: {waited:.0%} waiting for unrolls, {1 - waited:.0%} updating; "
        f"actors: {blocked:.0%} handing unrolls to the queue{f', {idle:.0%} waiting for new weights' * (idle > 0.01)}; "
        f"acting: {in_environment:.0%} environment, {1 - in_environment:.0%} policy"
    )
    if waited < _MUCH:
        verdict = (
            f"the learner is the limit (batches of {batch_size} unrolls): a larger --batch_size or --unroll_length, "
            "--xla=on, a smaller network or a GPU"
        )
    elif blocked > _MUCH:
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
    if idle > _MUCH and waited > _MUCH:
        verdict += "; actors and learner wait for each other, which --architecture=impala avoids"
    return f"{figures}\n{verdict}"


def explain_workers(seconds: Seconds, rows_per_call: int) -> str:
    """The same for A3C, where the workers do everything."""
    if seconds.update == 0:
        return "no update was timed"
    parts = {
        "acting": seconds.act,
        "computing gradients": seconds.gradient,
        "waiting for the shared weights": seconds.wait,
        "updating them": seconds.update,
        "waiting for a turn to act": seconds.turn,
    }
    whole = sum(parts.values())
    in_environment = _share(seconds.environment, seconds.act)
    figures = (
        f"workers: {', '.join(f'{_share(part, whole):.0%} {name}' for name, part in parts.items())}; "
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


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
