"""Has batched A2C (figure 2 of the paper, left and middle): actors wait for the update that their unrolls made.

The batch is the unrolls of all environments, so each unroll was made by the policy that it updates. With
`a2c_sync_step` there is one actor over all environments, so they also wait for each other at every step: one policy
call takes all rows, and the slowest environment sets the pace (see `JoinedEnvironment`). With `a2c_sync_trajectory`
they wait at the end of an unroll only.
"""

from collections.abc import Callable

from impala_tf.running.architectures import impala
from impala_tf.running.run import Run


def threads(run: Run) -> dict[str, Callable[[], None]]:
    """Returns the work of each thread: IMPALA's, but an actor waits for the update before it acts again.

    Every batch has unrolls of all actors, so no update comes between that wait and the turn, in which the weights are
    taken.
    """
    return impala.acting(run, run.weights.newer_than) | impala.learning(run)
