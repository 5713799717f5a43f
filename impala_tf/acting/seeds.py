"""The random numbers of acting: every sampled action follows from the run's seed."""

import numpy as np


def row_seeds(seed: int, actor: int, unroll: int, num_rows: int) -> np.ndarray:
    """[num_rows, 2] int32, a seed for the actions of each row of an unroll.

    seed: the seed of the run's acting. actor: index of the actor. unroll: number of unrolls that it made before.

    The same arguments give the same seeds, others give others. The version of the weights cannot take the place of the
    unroll's number: two unrolls that one version made would repeat the same draws.
    """
    words = np.random.SeedSequence([seed, actor, unroll]).generate_state(2 * num_rows)
    return words.view(np.int32).reshape(num_rows, 2)
