"""Makes the seeds of sampled actions, which all follow from the run's seed."""

import numpy as np


def row_seeds(seed: int, actor: int, unroll: int, num_rows: int) -> np.ndarray:
    """Returns a seed for the actions of each row of an unroll, [num_rows, 2] int32.

    seed: seed of all actors of the run.
    actor: index of the actor.
    unroll: number of unrolls that the actor made before.
    num_rows: number of rows.

    Other arguments give other seeds. The version of the weights cannot take the place of the unroll's number: two
    unrolls of one version would repeat the same draws.
    """
    words = np.random.SeedSequence([seed, actor, unroll]).generate_state(2 * num_rows)
    return words.view(np.int32).reshape(num_rows, 2)
