"""Has the architectures that the paper compares (figure 2, table 1): who waits for whom, who computes gradients.

Each module has `threads(run)`, which returns the work of each thread, by name. Losses, networks, environments, metrics,
checkpoints and export are the same for all.
"""

from impala_tf.running.architectures import a2c, a3c, impala

THREADS = {
    "impala": impala.threads,
    "a2c_sync_step": a2c.threads,
    "a2c_sync_trajectory": a2c.threads,
    "a3c": a3c.threads,
}
