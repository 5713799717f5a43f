"""Gradients that are computed apart from the learner."""

import numpy as np

from impala_tf.learning.gradients import GradientWorker
from tests.support.unrolls import make_batch, make_learner


def test_a3c_computes_the_learners_gradients():
    """A worker's gradients, applied, are one update of the learner."""
    batch = make_batch()
    ours, theirs = make_learner(), make_learner()
    worker = GradientWorker(ours.objective, xla=False)
    for _ in range(3):
        result = ours.apply(*worker.gradients(batch, ours.hyperparameters), num_steps=10)
        expected = theirs.update(batch, num_steps=10)
        np.testing.assert_allclose(result.metrics, expected.metrics, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(result.flat_weights, expected.flat_weights, rtol=1e-4, atol=1e-5)
    assert (ours.updates, ours.environment_frames) == (3, 30)
