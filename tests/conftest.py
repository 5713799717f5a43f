import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Bytes of a NaN that no computation makes, and of integers that no environment emits.
POISON = {"f": 0xFF, "i": 0xFE}


def poisoned(shape, dtype):
    """Memory of an unroll before anything is written, as `unroll_writer.allocate` gives it, but with known contents."""
    array = np.empty(shape, dtype)
    if array.dtype.kind in "fiub":
        array.view(np.uint8).fill(POISON.get(array.dtype.kind, 1))
    return array


def assert_not_poisoned(name, leaf):
    """Bytes and bools are not looked at: any value may be an environment's."""
    leaf = np.ascontiguousarray(leaf)
    if leaf.size and leaf.dtype.kind in POISON:
        is_poison = (leaf.view(np.uint8).reshape(-1, leaf.itemsize) == POISON[leaf.dtype.kind]).all(axis=1)
        assert not is_poison.any(), f"{name}: {is_poison.sum()} of {leaf.size} values were never written"


@pytest.fixture(autouse=True)
def poisoned_unrolls(request, monkeypatch):
    """Unroll buffers are poisoned before they are written; a queue refuses unrolls with a value left unwritten."""
    import sys

    writer = sys.modules.get("impala_tf.experience.unroll_writer")
    if writer is None:  # The test's module does not use TensorFlow.
        return
    from impala_tf.experience.unroll_queue import UnrollQueue

    plain = UnrollQueue.put

    def put(self, unrolls):
        import tensorflow as tf

        for name, leaves in unrolls._asdict().items():
            for leaf in tf.nest.flatten(leaves):
                assert_not_poisoned(name, leaf)
        plain(self, unrolls)

    monkeypatch.setattr(writer, "allocate", poisoned)
    monkeypatch.setattr(UnrollQueue, "put", put)
