"""Short training runs and what they leave."""

import csv

import numpy as np

from impala_tf.config import Config
from impala_tf.records.logdir import LogDir
from impala_tf.running.training import train

TINY = dict(num_actors=2, num_envs_per_actor=4, batch_size=4, unroll_length=5, hidden_sizes=(16,), xla="off")


def run(logdir, functions=None, **settings):
    """Trains. functions: make_torso and shape_rewards, by name."""
    config = Config(
        logdir=str(logdir), **({"total_environment_frames": 3000, "log_every_secs": 0.05} | TINY | settings)
    )
    return train(config, LogDir(config, warn=print), **(functions or {}))


def metrics_of(logdir):
    with (logdir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def learned(logdir):
    """The newest checkpoint's arrays."""
    return dict(np.load(sorted((logdir / "checkpoints").glob("*.npz"))[-1]))
