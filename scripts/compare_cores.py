"""Times the learner's update with the recurrent cores beside the plain loop over `step`, on the CPU.

python scripts/compare_cores.py [--core=gru] [--xla=off] [--unroll_length=100] [--units=256]

The network is that of flags/cartpole_lstm.flags: a layer and a core, each twice. "written out" is the core's unroll row
by row while tracing instead of in a loop. The forms are called by turns; the figures are medians.
"""

import argparse
import functools
import time
from unittest import mock

import gymnasium as gym
import numpy as np

from impala_tf.support.startup import import_tensorflow

B, NUM_ACTIONS, OBSERVATION = 32, 2, (2,)


def make_update(config, form: str):
    """A callable that makes an update with random inputs. form: plain, ours or written out."""
    import tensorflow as tf

    from impala_tf.algorithms import make_algorithm
    from impala_tf.experience.unroll_spec import unroll_spec
    from impala_tf.experience.unroll_writer import UnrollWriter
    from impala_tf.learning.learner import Learner
    from impala_tf.networks import Agent
    from impala_tf.networks.agent import Trunk
    from impala_tf.networks.cores import make_core
    from impala_tf.networks.encoders import make_torso
    from impala_tf.spaces import distributions
    from impala_tf.types import ArraySpec

    def plain(core, features, first, state):
        def row(carry, inputs):
            return core.step(*inputs, carry[1])

        return tf.scan(row, (features, first), initializer=(tf.zeros([B, config.core_size]), state))[0]

    def written_out_core(unroll, *inputs):
        with mock.patch.object(tf, "scan", written_out):
            return unroll(*inputs)

    space = gym.spaces.Box(-1, 1, OBSERVATION, np.float32)
    trunks = [
        Trunk(
            make_torso(space, config.network, config.hidden_sizes, config.activation, False, seed),
            make_core(config.core, config.core_size, seed + 50),
        )
        for seed in (0, 100)
    ]
    for trunk in trunks:
        if form == "plain":
            trunk.core.unroll = functools.partial(plain, trunk.core)
        elif form == "written out":
            trunk.core.unroll = functools.partial(written_out_core, trunk.core.unroll)
    agent = Agent(distributions.for_space(gym.spaces.Discrete(NUM_ACTIONS)), trunks, space, False, 1.0, seed=200)
    learner = Learner(config, agent, make_algorithm(config), "/CPU:0")
    spec = unroll_spec(
        config.unroll_length,
        ArraySpec(OBSERVATION, np.dtype(np.float32)),
        ArraySpec((), np.dtype(np.int64)),
        NUM_ACTIONS,
        agent.state_size,
    )
    unroll = UnrollWriter(spec, B, B).unroll
    tf.nest.map_structure(lambda array: array.fill(0), unroll)
    random = np.random.default_rng(0)
    unroll.env_outputs.observation[:] = random.normal(size=unroll.env_outputs.observation.shape)
    unroll.env_outputs.first[:] = random.random(unroll.env_outputs.first.shape) < 0.03
    batch = tf.nest.map_structure(tf.convert_to_tensor, unroll)
    started = time.perf_counter()
    learner.update(batch, 0)
    print(f"  {form}: first update after {time.perf_counter() - started:.1f} s")
    return lambda: learner.update(batch, 0).statistics.numpy()


def written_out(function, elements, initializer):
    """`tf.scan`, with the rows one after the other in the graph."""
    import tensorflow as tf

    rows = zip(*(tf.unstack(x) for x in tf.nest.flatten(elements)), strict=True)
    results = []
    for row in rows:
        initializer = function(initializer, tf.nest.pack_sequence_as(elements, row))
        results.append(initializer)
    return tf.nest.map_structure(lambda *x: tf.stack(x), *results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", default="lstm", choices=("lstm", "gru"))
    parser.add_argument("--xla", default="on", choices=("on", "off"))
    parser.add_argument("--unroll_length", type=int, default=20)
    parser.add_argument("--units", type=int, default=64, help="Of the layer and of the core.")
    parser.add_argument("--forms", default="plain,ours", help="plain, and of ours, written out.")
    parser.add_argument("--secs", type=float, default=10.0, help="Measured in all.")
    arguments = parser.parse_args()
    import_tensorflow()
    from impala_tf.config import Config

    config = Config(
        core=arguments.core,
        xla=arguments.xla,
        unroll_length=arguments.unroll_length,
        core_size=arguments.units,
        hidden_sizes=(arguments.units,),
    )
    print(f"{arguments.core}, T {arguments.unroll_length}, {arguments.units} units, --xla={arguments.xla}")
    updates = {form: make_update(config, form) for form in arguments.forms.split(",")}
    times: dict[str, list[float]] = {form: [] for form in updates}
    end = time.perf_counter() + arguments.secs
    while time.perf_counter() < end or len(times["plain"]) < 3:
        for form, update in updates.items():
            started = time.perf_counter()
            update()
            times[form].append(time.perf_counter() - started)
    for form, seconds in times.items():
        ratio = np.median(seconds) / np.median(times["plain"])
        print(f"  {form}: {1000 * np.median(seconds):.2f} ms (fastest {1000 * min(seconds):.2f}), ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
