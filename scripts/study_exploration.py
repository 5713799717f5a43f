"""Compares runs with and without random network distillation (--rnd) where rewards are hard to find.

  python scripts/study_exploration.py --seeds=3 --episodes=20     both tasks, with and without
  python scripts/study_exploration.py --seeds=0                   only collect and draw what is there

MountainCar-v0 pays -1 for each of at most 200 steps until the car is on the hill, so -200 means that it never was.
MountainCarContinuous-v0 pays 100 there and takes up to 0.1 for each push; standing still, 0, is a trap, and such an
episode of 999 steps does not end within this budget, so that no return is reported. The settings
were found with other seeds than those reported, for the runs with --rnd. Writes docs/results/exploration*, of which
exploration_reached.csv has the frames after which the mean of 100 episodes first passed a bar, and the first success.
"""

import collections
import pathlib

from reproducing import Experiment, main, read, write

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

# By environment: the bar, and the return above which an episode reached the hill.
BARS = {"MountainCar-v0": (-160.0, -200.0), "MountainCarContinuous-v0": (80.0, 0.0)}


def reached(experiment: Experiment, logdir: pathlib.Path) -> dict:
    """When a run first reached the hill, and when the mean of its last 100 episodes passed the bar, in frames."""
    bar, success = BARS[experiment.flags[0].removeprefix("--env_id=")]
    found = {"first_success_frames": "never", "bar": bar, "bar_frames": "never"}
    last: collections.deque[float] = collections.deque(maxlen=100)
    for episode in read(logdir / "episodes.csv"):
        last.append(float(episode["episode_return"]))
        if last[-1] > success and found["first_success_frames"] == "never":
            found["first_success_frames"] = episode["environment_frames"]
        if len(last) == 100 and sum(last) / 100 > bar and found["bar_frames"] == "never":
            found["bar_frames"] = episode["environment_frames"]
    return found


if __name__ == "__main__":
    arguments = main("exploration", __doc__, EXPERIMENTS)
    rows = [
        {"experiment": e.name, "seed": logdir.name.removeprefix("seed")} | reached(e, logdir)
        for e in EXPERIMENTS
        for logdir in sorted((arguments.runs / e.name).glob("seed*"))
    ]
    write(arguments.results / "exploration_reached.csv", rows)
