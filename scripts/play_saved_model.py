"""Plays an export with TensorFlow and gymnasium alone, to show how: nothing here imports impala_tf.

python scripts/play_saved_model.py runs/NAME/saved_model CartPole-v1

The id may be module:id, with a module that is found from the working directory.
"""

import argparse
import sys

import gymnasium as gym
import numpy as np

NUM_ENVS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("saved_model", help="directory of the export")
    parser.add_argument("env_id", help="gymnasium's id of the environment")
    parser.add_argument("--episodes_per_env", type=int, default=5, help=f"for each of {NUM_ENVS} environments")
    arguments = parser.parse_args()
    sys.path.insert(0, "")  # For the module of a module:id.
    play(arguments.saved_model, arguments.env_id, arguments.episodes_per_env)


def play(saved_model: str, env_id: str, episodes_per_env: int) -> None:
    """Plays greedily and prints the mean return.

    Every environment plays the same number of episodes: taking whatever ends first would favour short episodes.
    """
    import tensorflow as tf

    model = tf.saved_model.load(saved_model)
    initial_state, step = model.signatures["initial_state"], model.signatures["step"]

    envs = gym.make_vec(env_id, num_envs=NUM_ENVS)
    observation, _ = envs.reset(seed=1)
    core_state = initial_state(batch_size=tf.constant(NUM_ENVS))["core_state"]
    action = np.zeros(NUM_ENVS, np.int64)
    reward = np.zeros(NUM_ENVS, np.float32)
    first, ended = np.ones(NUM_ENVS, bool), np.zeros(NUM_ENVS, bool)
    current, returns = np.zeros(NUM_ENVS), [[] for _ in range(NUM_ENVS)]
    takes_seed = "seed" in step.structured_input_signature[1]  # Older exports sample by themselves.
    row = 0
    while min(map(len, returns)) < episodes_per_env:
        seed, row = {"seed": tf.constant([1, row])} if takes_seed else {}, row + 1
        outputs = step(
            observation=tf.constant(observation),
            reward=tf.constant(reward, tf.float32),
            last_action=tf.constant(action),
            first=tf.constant(first),
            core_state=core_state,
            **seed,
        )
        action, core_state = outputs["greedy_action"].numpy(), outputs["core_state"]  # or "action": sampled
        observation, reward, terminated, truncated, _ = envs.step(action)
        # gymnasium's NEXT_STEP autoreset: the step after the end of an episode begins the next one.
        first, ended = ended, terminated | truncated
        current = np.where(first, 0, current) + reward
        for i in np.flatnonzero(ended):
            returns[i].append(current[i])
    chosen = np.array([r[:episodes_per_env] for r in returns])
    print(f"{env_id}, greedy, {chosen.size} episodes: mean {chosen.mean():.1f}, min {chosen.min():g}")


if __name__ == "__main__":
    main()
