"""The loss that draws a policy to a teacher, against numpy; its gradient; what it does not count."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from impala_tf.algorithms.distillation import Distillation
from impala_tf.config import Config
from impala_tf.spaces import distributions
from impala_tf.types import LossCosts, Marks
from tests.support.unrolls import ACTIONS, A, B, T, loss_inputs, make_unroll

COST = 0.3


def parameters(seed):
    return tf.constant(np.random.default_rng(seed).normal(size=(T + 1, B, A)), tf.float32)


def inputs_of(student, **fields):
    costs = LossCosts(entropy=0.0, baseline=0.0, kl=0.0, teacher=tf.constant(COST))
    outputs = (student, tf.zeros([T + 1, B]))
    return loss_inputs(make_unroll(), outputs, distributions.for_space(ACTIONS), Config(), costs=costs, **fields)


def kl_by_numpy(teacher, student):
    log_p, log_q = (scipy.special.log_softmax(x.numpy().astype(np.float64), axis=-1) for x in (teacher, student))
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


def test_it_is_the_weighted_sum_over_valid_steps():
    """Row T only bootstraps, and a step into a `first` row is not a real one."""
    student, teacher = parameters(0), parameters(1)
    weight = np.float32([1, 0.5, 2, 0])
    inputs = inputs_of(student, marks=Marks(tf.constant([True, False, True, True]), tf.constant(weight)))
    total, metrics = Distillation(lambda inputs: teacher).loss(inputs)
    kl = kl_by_numpy(teacher, student)[:-1]
    valid = ~inputs.unroll.env_outputs.first.numpy()[1:]
    assert 0 < valid.sum() < valid.size
    np.testing.assert_allclose(total, COST * (kl * valid * weight).sum(), rtol=1e-5)
    np.testing.assert_allclose(metrics["teacher_loss"], total)
    np.testing.assert_allclose(metrics["teacher_kl"], kl[valid].mean(), rtol=1e-5)


def test_the_gradient_is_that_of_a_cross_entropy_and_flows_into_the_student_only():
    student, teacher = parameters(0), parameters(1)
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        total, _ = Distillation(lambda inputs: teacher).loss(inputs_of(student))
    to_student, to_teacher = tape.gradient(total, [student, teacher])
    assert to_teacher is None
    valid = ~make_unroll().env_outputs.first.numpy()[1:]
    expected = COST * (tf.nn.softmax(student) - tf.nn.softmax(teacher)).numpy()[:-1] * valid[..., np.newaxis]
    np.testing.assert_allclose(to_student[:-1], expected, atol=1e-6)
    assert np.all(to_student[-1] == 0)


def test_a_policy_like_the_teacher_has_no_loss():
    total, metrics = Distillation(lambda inputs: inputs.outputs.parameters).loss(inputs_of(parameters(0)))
    assert float(total) == pytest.approx(0, abs=1e-5)
    assert float(metrics["teacher_kl"]) == pytest.approx(0, abs=1e-6)
