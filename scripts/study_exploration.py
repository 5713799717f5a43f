"""Compares runs with and without random network distillation (--rnd) where rewards are hard to find.

  python scripts/study_exploration.py --seeds=3 --episodes=20     both tasks, with and without
  python scripts/study_exploration.py --seeds=0                   only collect and draw what is there

MountainCar-v0 pays -1 for each of at most 200 steps until the car is on the hill, so -200 means that it never was.
MountainCarContinuous-v0 pays 100 there and takes up to 0.1 for each push; standing still, 0, is a trap. The settings
were found with other seeds than those reported. Writes docs/results/exploration*.
"""

from reproducing import Experiment, main

SHARED = ("--normalise_observations", "--normalise_returns")
RND = ("--rnd", "--rnd_scale=1", "--rnd_learning_rate=1e-3")


def pair(name: str, env_id: str, *flags: str) -> list[Experiment]:
    """The same settings with and without --rnd."""
    given = (f"--env_id={env_id}", *SHARED, *flags)
    return [
        Experiment(f"{name}_rnd", f"{env_id} with --rnd", (*given, *RND), {}, 1),
        Experiment(name, f"{env_id} without", given, {}, 1),
    ]


EXPERIMENTS = [
    *pair("mountain_car", "MountainCar-v0", "--entropy_cost=0.01", "--total_environment_frames=250000"),
    *pair("mountain_car_continuous", "MountainCarContinuous-v0", "--total_environment_frames=150000"),
]

if __name__ == "__main__":
    main("exploration", __doc__, EXPERIMENTS)
