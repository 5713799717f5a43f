"""Declares the settings of experience/."""

import dataclasses

from impala_tf.settings.setting import CODE, COMMON, IMPACT, PAPER, PPO, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperienceSettings:
    """Unrolls travel from the actors to the learner, and weights travel back."""

    unroll_length: int = setting(
        20,
        "T, steps in an unroll.",
        "agent steps",
        f"{PAPER}: 20 on Atari, 100 on DMLab",
        bounds=at_least(1),
        roles=(COMMON,),
    )
    batch_size: int = setting(
        32,
        "B, unrolls in a batch; with a2c_* those of all environments, with a3c those of one actor.",
        "unrolls",
        f"{PAPER}: 32",
        bounds=at_least(1),
        roles=(COMMON,),
    )
    queue_capacity: int = setting(
        0,
        "Unrolls that may wait for the learner, rounded down to whole groups (unroll_queue.py) but at least one; 0: "
        "one batch.",
        "unrolls",
        f"{CODE}: 1",
        bounds=at_least(0),
    )
    buffer_batches: int = setting(
        0,
        "N, batches in the circular buffer from which the learner draws; 0: the algorithm's, 4 for impact, else 1.",
        "batches",
        f"{IMPACT}: 4 for discrete actions, 16 for continuous ones",
        bounds=at_least(0),
    )
    batch_uses: int = setting(
        0,
        "K, times that a batch is learned from; 0: the algorithm's, 2 for impact, 4 for ppo, else 1.",
        source=f"{IMPACT}: 2 for discrete actions, 20 for continuous ones; {PPO}: 3 on Atari, 10 on MuJoCo",
        bounds=at_least(0),
    )
    minibatches: int = setting(
        0,
        "M, parts into which a batch is cut by unrolls, with an update each; 0: the algorithm's, 4 for ppo, else 1.",
        source=f"{PPO}: 4 on Atari, 32 on MuJoCo",
        bounds=at_least(0),
    )
    policy_lag: int = setting(
        0,
        "Makes actors use weights this many updates old, for experiments (figure E.1).",
        "updates",
        PAPER,
        bounds=at_least(0),
    )
    max_policy_lag: int = setting(
        0,
        "Unrolls of weights older than this are dropped when they come out of the queue, and from the replay buffer; "
        "their frames count. 0: no bound.",
        "updates",
        bounds=at_least(0),
    )
