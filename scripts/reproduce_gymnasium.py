"""Trains on gymnasium's and MiniGrid's tasks and a memory task, and writes docs/results/gymnasium*.

  python scripts/reproduce_gymnasium.py                        every experiment, one seed
  python scripts/reproduce_gymnasium.py --only=acrobot --seeds=3
  python scripts/reproduce_gymnasium.py --seeds=0              only collect and draw what is there

Needs the extras box2d, mujoco and minigrid.
"""

from reproducing import Experiment, main

CONTROL = "--flagfile=flags/mujoco.flags"


def task(name: str, env_id: str, steps: int, bar: float | None, *flags: str, action_repeat: int = 1) -> Experiment:
    flags = (*flags, f"--env_id={env_id}", f"--total_environment_frames={steps * action_repeat}")
    title = env_id.removeprefix("impala_tf/") + {"memory_lstm": ", LSTM", "memory_without": ", no memory"}.get(name, "")
    return Experiment(name, title, flags, {} if bar is None else {steps: bar}, action_repeat)


MEMORY = ("--num_envs_per_actor=16", "--entropy_cost=0.01")
EXPERIMENTS = [
    task("acrobot", "Acrobot-v1", 500_000, -100, "--num_envs_per_actor=16", "--entropy_cost=0.01"),
    task("lunar_lander", "LunarLander-v3", 3_000_000, 200, CONTROL, "--num_envs_per_actor=8", "--batch_size=8",
         "--unroll_length=16", "--discounting=0.999", "--learning_rate=0.001", "--hidden_sizes=128,128"),
    task("pendulum", "Pendulum-v1", 1_000_000, -300, CONTROL, "--num_envs_per_actor=8", "--batch_size=8",
         "--discounting=0.9", "--vtrace_lambda=0.9", "--action_scale_init=0.5", "--learning_rate=0.0007"),
    task("half_cheetah", "HalfCheetah-v5", 3_000_000, 2000, CONTROL),
    task("mountain_car_continuous", "MountainCarContinuous-v0", 125_000, 90, CONTROL, "--num_envs_per_actor=8",
         "--batch_size=8", "--action_scale_init=1.0", "--num_action_repeats=8", action_repeat=8),
    task("minigrid_empty", "MiniGrid-Empty-8x8-v0", 300_000, 0.9, "--num_envs_per_actor=8", "--batch_size=8",
         "--normalise_observations", "--separate_value_network=false", "--learning_rate=0.001", "--epsilon=1e-05",
         "--initial_mean_square=0.01"),
    task("memory_lstm", "impala_tf/MemoryChain-v0", 500_000, 0.9, "--core=lstm", *MEMORY),
    task("memory_without", "impala_tf/MemoryChain-v0", 500_000, None, *MEMORY),
]  # fmt: skip

if __name__ == "__main__":
    main("gymnasium", __doc__, EXPERIMENTS)
