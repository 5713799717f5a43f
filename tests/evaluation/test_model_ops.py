"""The operations of a SavedModel: those of our own exports are known, and a stranger's are named."""

import importlib

import pytest
import tensorflow as tf

from impala_tf.evaluation.export import ExportedAgent
from impala_tf.evaluation.model_ops import KNOWN_OPS, SAVER_OPS, ops_lines, ops_of
from tests.support.paths import ROOT


@pytest.mark.parametrize("kind", ["gru", "tuple"])
def test_all_operations_of_our_own_exports_are_known(kind, monkeypatch):
    """scripts/collect_ops.py --check does it for all kinds."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    ops = importlib.import_module("collect_ops").ops_of_kind(kind)
    assert len(ops) > 20
    assert ops <= KNOWN_OPS


def test_nothing_that_is_known_touches_files_or_calls_python():
    assert not KNOWN_OPS & SAVER_OPS
    for part in ("File", "Py", "Summary", "Dataset", "Iterator", "Table", "Save", "Restore", "Rpc", "Debug", "Print"):
        assert not [name for name in KNOWN_OPS if part in name], part


def write_file(path):
    tf.io.write_file(path, "x")


def save(path):
    tf.raw_ops.SaveV2(prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.zeros(1)])


class Module(tf.Module):
    """A model whose step does what it is given, perhaps in a branch of a branch."""

    def __init__(self, do, path, deep):
        super().__init__()
        self.weight = tf.Variable(1.0)  # So that the model's saver has something to save.
        self._do, self._path, self._deep = do, path, deep

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def step(self, x):
        def call():
            self._do(self._path)
            return x

        if self._deep:
            return tf.cond(x > 0, lambda: tf.while_loop(lambda y: y < 0, lambda y: [call()], [x])[0], lambda: x)
        return call() * self.weight


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(("do", "op"), [(write_file, "WriteFile"), (save, "SaveV2")])
def test_a_strangers_operation_is_named_and_not_run(tmp_path, do, op, deep):
    module = Module(do, str(tmp_path / "written"), deep)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.step)
    assert op in ops_of(tmp_path / "model")
    [line] = ops_lines(tmp_path / "model")
    assert op in line
    assert "\n" not in line
    assert not list(tmp_path.glob("written*"))


def test_it_is_said_before_the_model_is_loaded(tmp_path, monkeypatch, capsys):
    module = Module(write_file, str(tmp_path / "written"), deep=False)
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=module.step)
    monkeypatch.setattr(tf.saved_model, "load", lambda path: pytest.exit(capsys.readouterr().err))
    with pytest.raises(pytest.exit.Exception, match=r"operations that no export of this project has .*WriteFile"):
        ExportedAgent(tmp_path / "model")


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(ValueError, match=r"^saved_model"):
        ops_of(tmp_path)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "of_tensorflow_1"))
        session.run(tf.compat.v1.get_variable("x", 1, use_resource=False).initializer)
        builder.add_meta_graph_and_variables(session, ["serve"])
        builder.save()
    with pytest.raises(ValueError, match="has no object graph, as those of TensorFlow 1"):
        ops_of(tmp_path / "of_tensorflow_1")
