"""Compares algorithms that learn several times from a batch with IMPALA, and writes docs/results/reuse*.

  python scripts/reproduce_reuse.py                            every experiment, one seed
  python scripts/reproduce_reuse.py --only=hopper_ppo,hopper_impala --seeds=3
  python scripts/reproduce_reuse.py --seeds=0                  only collect and draw what is there

The milestones on MuJoCo are CleanRL's PPO after a million steps, means of the last episodes of its own runs. That on
Pendulum is what IMPALA has after a million steps (reproduce_gymnasium.py, of which the IMPALA run is a copy).
"""

import reproduce_gymnasium
from reproducing import Experiment, main

CLEANRL = {"Hopper": 2383, "HalfCheetah": 1443, "Walker2d": 2288}


def mujoco(robot: str, algorithm: str) -> Experiment:
    file = "mujoco" if algorithm == "impala" else f"mujoco_{algorithm}"
    flags = (f"--flagfile=flags/{file}.flags", f"--env_id={robot}-v5", "--total_environment_frames=1000000")
    name = f"{robot.lower()}_{algorithm}"
    return Experiment(name, f"{robot}-v5, {algorithm}", flags, {1_000_000: CLEANRL[robot]}, 1)


def minatar_breakout(algorithm: str) -> Experiment:
    file = "minatar" if algorithm == "impala" else f"minatar_{algorithm}"
    flags = (f"--flagfile=flags/{file}.flags", "--env_id=MinAtar/Breakout-v0", "--total_environment_frames=5000000")
    return Experiment(f"minatar_breakout_{algorithm}", f"MinAtar Breakout, {algorithm}", flags, {5_000_000: 20}, 1)


def pendulum(algorithm: str) -> Experiment:
    if algorithm == "impala":
        (plain,) = (e for e in reproduce_gymnasium.EXPERIMENTS if e.name == "pendulum")
        return plain._replace(name="pendulum_impala", title="Pendulum-v1, impala", milestones={1_000_000: -185})
    flags = (
        *(f"--flagfile=flags/mujoco_{algorithm}.flags", "--env_id=Pendulum-v1", "--total_environment_frames=150000"),
        *("--discounting=0.9", "--learning_rate=0.001"),
    )
    return Experiment(f"pendulum_{algorithm}", f"Pendulum-v1, {algorithm}", flags, {150_000: -185}, 1)


EXPERIMENTS = [
    *(mujoco(robot, algorithm) for robot in CLEANRL for algorithm in ("ppo", "impact", "impala")),
    *(pendulum(algorithm) for algorithm in ("impact", "impala")),
    *(minatar_breakout(algorithm) for algorithm in ("impact", "impala")),
]

if __name__ == "__main__":
    main("reuse", __doc__, EXPERIMENTS)
