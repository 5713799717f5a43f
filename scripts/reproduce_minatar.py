"""Trains on MinAtar's games (Young & Tian 2019) with settings shared by all, and writes docs/results/minatar*.

  python scripts/reproduce_minatar.py                          every experiment, one seed
  python scripts/reproduce_minatar.py --only=minatar_breakout --seeds=3
  python scripts/reproduce_minatar.py --seeds=0                only collect and draw what is there

minatar5 is one agent for all five games.
"""

from reproducing import Experiment, main

SHARED = ("--flagfile=flags/minatar.flags",)


def game(name: str, env_id: str, milestones: dict[int, float]) -> Experiment:
    steps = max(milestones)
    flags = (*SHARED, f"--env_id=MinAtar/{env_id}-v0", f"--total_environment_frames={steps}")
    return Experiment(f"minatar_{name}", f"MinAtar {env_id}-v0", flags, milestones, 1)


EXPERIMENTS = [
    game("breakout", "Breakout", {3_000_000: 14}),
    game("space_invaders", "SpaceInvaders", {2_000_000: 90, 5_000_000: 140}),
    game("asterix", "Asterix", {4_000_000: 13}),
    Experiment(
        "minatar5",
        "minatar5, one agent",
        ("--flagfile=flags/minatar5.flags",),
        {},
        1,
    ),
]

if __name__ == "__main__":
    main("minatar", __doc__, EXPERIMENTS)
