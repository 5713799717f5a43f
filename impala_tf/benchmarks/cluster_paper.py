"""Has the distributed rows of the paper's table 1 and its eight learners, as the model of a cluster sees them.

Three numbers are calibrated, each on a row, and the rest follows:
- the time of an actor's unroll, on the row of 150 actors, where the actors are the limit;
- the time of an update, (1) from 128 unrolls on the row of 500 actors, where the learner must be the limit, as 500
  actors would make more; (2) from 32 unrolls just short enough for the row of 375 actors;
- A3C's gradient, on A3C's own row.
Predicted are the speed of 375 actors, which limit holds, the policy lags, the traffic, and the 8 learners.
"""

import dataclasses
from typing import NamedTuple

from impala_tf.benchmarks.cluster_model import Costs, Sizes

# Espeholt et al. 2018, section 5.1: DMLab frames of 72 x 96 x 3 bytes, action repeat 4, unrolls of 100 steps.
UNROLL_LENGTH, ACTION_REPEATS = 100, 4
FRAMES_PER_UNROLL = UNROLL_LENGTH * ACTION_REPEATS
UNROLL_BYTES = (UNROLL_LENGTH + 1) * 72 * 96 * 3
SHALLOW_BYTES, DEEP_BYTES = 4 * 1.2e6, 4 * 1.6e6  # Figure 3: 1.2 and 1.6 million parameters.

ACT_SECS = 150 * FRAMES_PER_UNROLL / 80_000  # 150 actors made 80,000 frames/s.
UPDATE_SECS_128 = 128 * FRAMES_PER_UNROLL / 250_000  # The learner made 250,000 frames/s.
UPDATE_SECS_32 = 32 * FRAMES_PER_UNROLL / 205_000  # It must make the 200,000 frames/s of 375 actors, and little more.
GRADIENT_SECS = 200 * FRAMES_PER_UNROLL / 48_000 - ACT_SECS  # 200 workers made 46,000 and 50,000 frames/s.
DEEP_UPDATE_SECS = 32 * FRAMES_PER_UNROLL / 30_000  # One learner made 30,000 frames/s.

SHALLOW = Costs(act_secs=ACT_SECS, update_secs=UPDATE_SECS_32, unroll_bytes=UNROLL_BYTES, weights_bytes=SHALLOW_BYTES)


class PaperRow(NamedTuple):
    """frames_per_sec: the paper's figure; None where the paper has no such row.

    calibrated: whether the row's speed went into the costs, so that it is no proof.
    """

    name: str
    frames_per_sec: float | None
    calibrated: bool
    costs: Costs
    sizes: Sizes


def rows() -> list[PaperRow]:
    """Returns the paper's rows. Its network is unknown, so that no card is a limit; the traffic says which it needs."""
    large_batch = dataclasses.replace(SHALLOW, update_secs=UPDATE_SECS_128)
    a3c = dataclasses.replace(SHALLOW, gradient_secs=GRADIENT_SECS, unroll_bytes=0.0)

    def sizes(num_actors: int, batch_size: int = 32) -> Sizes:
        return Sizes(num_actors=num_actors, batch_size=batch_size, frames_per_unroll=FRAMES_PER_UNROLL)

    return [
        PaperRow("A3C, 200 CPUs", 48_000, True, a3c, sizes(200)),
        PaperRow("IMPALA, 150 CPUs", 80_000, True, SHALLOW, sizes(150)),
        PaperRow("IMPALA optimised, 375 CPUs", 200_000, False, SHALLOW, sizes(375)),
        PaperRow("the same, 500 CPUs", None, False, SHALLOW, sizes(500)),
        PaperRow("IMPALA optimised, batch 128, 500 CPUs", 250_000, True, large_batch, sizes(500, 128)),
        PaperRow("the same, 1,000 CPUs", None, False, large_batch, sizes(1000, 128)),
        *(eight_learners(variation) for variation in (0.05, 0.1)),
    ]


def eight_learners(update_variation: float) -> PaperRow:
    """Returns the row of 8 learners with the deep network, whose 210,000 frames/s are 7 times those of one.

    update_variation: assumed, since the paper does not say how much the learners' updates vary.
    The number of actors is assumed as well: so many that they are not the limit, 16 of them on a machine.
    """
    costs = dataclasses.replace(
        SHALLOW,
        update_secs=DEEP_UPDATE_SECS,
        update_variation=update_variation,
        weights_bytes=DEEP_BYTES,
        bytes_per_sec=1.25e9,
        latency_secs=1e-4,
    )
    sizes = Sizes(num_actors=800, num_learners=8, frames_per_unroll=FRAMES_PER_UNROLL, actors_per_node=16)
    return PaperRow(f"8 learners, updates vary by {update_variation:.0%}", 210_000, False, costs, sizes)
