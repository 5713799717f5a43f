"""Trains on Atari games for minutes to an hour, and writes docs/results/atari*.

  python scripts/reproduce_atari.py                   every experiment, one seed
  python scripts/reproduce_atari.py --only=breakout --seeds=3
  python scripts/reproduce_atari.py --seeds=0         only collect and draw what is there

The points beside the curves are RLlib's IMPALA (docs/results/published.csv). The paper's own figures are after 200
million frames: flags/atari_shallow.flags and flags/atari_deep.flags.
"""

from reproducing import Experiment, main

SHORT = ("--flagfile=flags/atari_short.flags",)

EXPERIMENTS = [
    Experiment(
        "pong",
        "Pong, shallow",
        (*SHORT, "--env_id=ALE/Pong-v5"),
        {2_000_000: 18},
        4,
    ),
    Experiment(
        "breakout",
        "Breakout, shallow",
        (*SHORT, "--env_id=ALE/Breakout-v5", "--total_environment_frames=20000000"),
        {1_000_000: 21, 2_000_000: 57, 5_000_000: 311},
        4,
    ),
    Experiment(
        "breakout_deep",
        "Breakout, deep",
        (*SHORT, "--network=deep", "--env_id=ALE/Breakout-v5", "--total_environment_frames=2000000"),
        {},
        4,
    ),
]

if __name__ == "__main__":
    main("atari", __doc__, EXPERIMENTS)
