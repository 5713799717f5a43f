"""Times parts of a run alone: the figures of docs/performance.md.

python scripts/time_parts.py
"""

import tempfile
import threading
import time

import gymnasium as gym
import numpy as np

from impala_tf.startup import import_tensorflow

SECS = 3.0


def acting(num_actors: int, num_envs: int, unroll_length: int, direct: bool) -> float:
    """Agent steps per second of actors that throw their unrolls away."""
    import tensorflow as tf

    from impala_tf import train
    from impala_tf.config import Config
    from impala_tf.logdir import LogDir

    with tempfile.TemporaryDirectory() as directory:
        config = Config(
            num_actors=num_actors, num_envs_per_actor=num_envs, unroll_length=unroll_length, logdir=directory
        )
        run = train.connect(config, LogDir(config, warn=print))
        weights = run.weights.latest()
        counts = [0] * num_actors
        end = threading.Event()

        def act(actor) -> None:
            while not end.is_set():
                actor.unroll(*weights)
                counts[actor.index] += 1

        for actor in run.actors:
            if not direct:
                function = tf.function(actor._rows, autograph=False)
                actor._run_rows = lambda inputs, function=function: function(*inputs)
            actor.unroll(*weights)  # Traces.
        threads = [threading.Thread(target=act, args=(actor,)) for actor in run.actors]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        before, started = sum(counts), time.perf_counter()
        time.sleep(SECS)
        rate = (sum(counts) - before) * num_envs * unroll_length / (time.perf_counter() - started)
        end.set()
        for thread in threads:
            thread.join()
        run.metrics.close()
    return rate


def update(network: str, xla: str, unroll_length: int = 20, batch_size: int = 32) -> float:
    """Milliseconds of an update on a batch of zeros and random observations, the median of several."""
    import tensorflow as tf

    from impala_tf.config import Config
    from impala_tf.learner import Learner, default_device
    from impala_tf.networks import make_agent
    from impala_tf.types import ArraySpec
    from impala_tf.unroll_queue import UnrollWriter, unroll_spec

    if network == "mlp":
        space = gym.spaces.Box(-1, 1, (4,), np.float32)
    else:
        space = gym.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    config = Config(network=network, separate_value_network=network == "mlp", xla=xla)
    agent = make_agent(config, space, gym.spaces.Discrete(6))
    learner = Learner(config, agent, default_device())
    spec = unroll_spec(unroll_length, ArraySpec(space.shape, space.dtype), ArraySpec((), np.dtype(np.int64)), 6, 0)
    batch = UnrollWriter(spec, batch_size, batch_size).unroll
    tf.nest.map_structure(lambda array: array.fill(0), batch)
    batch.env_outputs.observation[:] = space.sample()
    batch = tf.nest.map_structure(tf.convert_to_tensor, batch)
    learner.update(batch, 0)
    times: list[float] = []
    while sum(times) < SECS or len(times) < 3:
        started = time.perf_counter()
        learner.update(batch, 0).statistics.numpy()
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times))


def main() -> None:
    import_tensorflow()
    for direct in (False, True):
        print(f"acting alone on CartPole-v1, {'direct call' if direct else 'tf.function'}, agent steps/s")
        for num_envs, unroll_length in ((64, 20), (1, 4)):
            for num_actors in (1, 2, 4):
                rate = acting(num_actors, num_envs, unroll_length, direct)
                print(f"  {num_actors} actors x {num_envs} environments, T {unroll_length}: {rate:,.0f}", flush=True)
    print("update, T 20, B 32, ms")
    for network in ("mlp", "shallow", "deep"):
        for xla in ("off", "on"):
            print(f"  {network}, xla {xla}: {update(network, xla):.2f}", flush=True)


if __name__ == "__main__":
    main()
