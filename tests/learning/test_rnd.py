"""Random network distillation in the learner: rewards, what counts, what is kept, and that new things get old."""

import gymnasium as gym
import numpy as np
import pytest
import tensorflow as tf

from impala_tf.algorithms import make_algorithm
from impala_tf.config import Config, SettingError
from impala_tf.environments.space_checks import check_settings_have_effect
from impala_tf.experience.unroll_queue import join_groups
from impala_tf.learning.learner import Learner
from impala_tf.learning.rnd import RandomNetworkDistillation, discounted_sums
from impala_tf.networks import make_agent
from impala_tf.networks.novelty import NoveltyNetworks
from impala_tf.types import Marks
from tests.support.runs import learned, metrics_of, run
from tests.support.unrolls import ACTIONS, OBSERVATIONS, B, T, loss_inputs, make_batch

SETTINGS = dict(rnd=True, hidden_sizes=(8,), xla="off", rnd_learning_rate=0.01)


def make_rnd(**settings):
    config = Config(**(SETTINGS | settings))
    return RandomNetworkDistillation(config, NoveltyNetworks(config, OBSERVATIONS))


def make_learner(**settings):
    config = Config(**(SETTINGS | settings))
    agent = make_agent(config, OBSERVATIONS, ACTIONS)
    return Learner(config, agent, make_algorithm(config), "/CPU:0", motivation=make_rnd(**settings))


def test_sums_of_rewards():
    np.testing.assert_allclose(discounted_sums(tf.constant([[1.0], [2], [4]]), 0.5), [[1], [2.5], [5.25]])


def test_rewards_are_errors_in_units_of_the_spread_of_returns():
    rnd = make_rnd(rnd_discounting=0.9, rnd_scale=0.3)
    marks = Marks(tf.constant([True, False, True, True]), tf.ones([B]))
    returns, observations = [], []
    for seed in range(2):
        batch = join_groups(make_batch(seed))
        intrinsic = rnd.observe(batch, marks)
        error = intrinsic.error.numpy()
        returns += [sum(error[s] * 0.9 ** (t - s) for s in range(1, t + 1))[marks.is_fresh] for t in range(1, T + 1)]
        np.testing.assert_allclose(intrinsic.reward, error / np.std(returns), rtol=1e-4)
        observations.append(batch.env_outputs.observation.numpy()[1:, marks.is_fresh])  # Row 0 counted before.
    (moments,) = rnd._networks._moments.values()
    np.testing.assert_allclose(moments.mean, [np.mean(observations)], rtol=1e-4)
    assert (intrinsic.discounting, intrinsic.scale) == (0.9, 0.3)
    assert intrinsic.baselines.shape == (T + 1, B)


def test_the_term_counts_fresh_rows_once():
    rnd = make_rnd()
    batch = join_groups(make_batch())
    marks = Marks(tf.constant([True, False, True, True]), tf.fill([B], 9.0))
    with tf.GradientTape() as tape:
        intrinsic = rnd.observe(batch, marks)
        outputs = tf.zeros([T + 1, B, 3]), tf.zeros([T + 1, B])
        inputs = loss_inputs(batch, outputs, None, Config(), marks=marks, intrinsic=intrinsic)
        loss, metrics = rnd.loss(inputs)
    assert set(metrics) == set(rnd.metric_names)
    fresh = intrinsic.error.numpy()[1:, marks.is_fresh]
    np.testing.assert_allclose(loss, fresh.sum(), rtol=1e-5)
    np.testing.assert_allclose(
        metrics["intrinsic_reward"], intrinsic.reward.numpy()[1:, marks.is_fresh].mean(), rtol=1e-5
    )
    assert any(g is not None and np.any(g != 0) for g in tape.gradient(loss, rnd.variables))


def test_what_is_seen_often_is_no_longer_new():
    learner = make_learner()
    batch = make_batch()
    errors = [float(learner.update(batch, T * B).metrics[learner.metric_names.index("predictor")]) for _ in range(60)]
    assert errors[-1] < 0.2 * errors[0]
    assert (
        learner.agent.flat_weights().shape == make_agent(Config(**SETTINGS), OBSERVATIONS, ACTIONS).flat_weights().shape
    )


def test_a_checkpoint_keeps_everything():
    batches = [make_batch(seed) for seed in range(6)]
    learner = make_learner()
    for batch in batches[:3]:
        learner.update(batch, T * B)
    state = learner.state()
    assert any(name.startswith("rnd/") for name in state)
    expected = [learner.update(batch, T * B).metrics.numpy() for batch in batches[3:]]
    other = make_learner(seed=5)
    assert other.restore(state) == []
    for batch, metrics in zip(batches[3:], expected, strict=True):
        np.testing.assert_allclose(other.update(batch, T * B).metrics, metrics, rtol=1e-4, atol=1e-5)
    without = {name: array for name, array in state.items() if not name.startswith("rnd/")}
    with pytest.raises(KeyError, match="rnd/"):
        make_learner().restore(without)


def test_without_it_nothing_is_there():
    config = Config(xla="off")
    agent = make_agent(config, OBSERVATIONS, ACTIONS)
    learner = Learner(config, agent, make_algorithm(config), "/CPU:0")
    assert not any("rnd" in name for name in (*learner.state(), *learner.metric_names))


def test_a_run(tmp_path):
    settings = dict(env_id="MountainCar-v0", rnd=True, total_environment_frames=400)
    run(tmp_path, **settings)
    assert np.all(metrics_of(tmp_path)["intrinsic_reward"] > 0)
    saved = learned(tmp_path)
    assert any(name.startswith("rnd/") for name in saved)
    signature = tf.saved_model.load(str(tmp_path / "saved_model"))
    num_weights = sum(array.size for name, array in saved.items() if name.startswith("weights/"))
    assert sum(int(tf.size(v)) for v in signature.weights) == num_weights, "the policy's are all that is exported"
    with pytest.raises(SettingError, match=r"--rnd=true \(given: false\)"):
        run(tmp_path, **(settings | {"rnd": False}))


def test_texts_alone_are_refused():
    config, actions = Config(env_id="Talk-v0", rnd=True), gym.spaces.Discrete(2)
    with pytest.raises(SettingError, match=r"^--rnd=true: Talk-v0 has nothing but texts") as error:
        check_settings_have_effect(config, gym.spaces.Dict(a=gym.spaces.Text(9)), actions)
    assert "\n" not in str(error.value)
    check_settings_have_effect(config, gym.spaces.Dict(a=gym.spaces.Text(9), b=gym.spaces.Discrete(3)), actions)
