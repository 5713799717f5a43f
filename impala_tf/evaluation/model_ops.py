"""Looks which TensorFlow operations a SavedModel has, without running it.

A SavedModel is a program of such operations, and some read and write files or open connections. Exports of this project
have only those of `KNOWN_OPS` (scripts/collect_ops.py), none of which does.
"""

import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from impala_tf.records.exports import MODEL

# Functions that a model calls are operations, too; they are in the file and are looked at themselves.
_KNOWN = """
    AddV2 Any ArgMax AssignVariableOp BiasAdd BroadcastArgs BroadcastTo Cast ConcatV2 Const Conv2D
    Conv2DBackpropFilter Conv2DBackpropInput Cumsum DenseBincount DepthToSpace DisableCopyOnRead
    ExpandDims Fill GatherV2 Greater Identity IdentityN Less LogicalAnd LogicalNot LogicalOr MatMul Max
    MaxPool Maximum Minimum Mul NoOp NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall Placeholder
    RaggedTensorToTensor ReadVariableOp RealDiv Relu Reshape Rsqrt Select SelectV2 Shape Sigmoid Size
    Softplus Split SplitV Sqrt Squeeze StatefulPartitionedCall StatelessIf StatelessMultinomial
    StatelessRandomGetKeyCounter StatelessRandomNormalV2 StatelessRandomUniformFullIntV2
    StatelessRandomUniformV2 StridedSlice StringJoin StringSplitV2 StringToHashBucketFast Sub Tanh
    TensorListFromTensor TensorListGetItem TensorListReserve TensorListSetItem TensorListStack Tile
    Transpose Unpack VarHandleOp While ZerosLike
"""
KNOWN_OPS = frozenset(_KNOWN.split())
# TensorFlow writes two functions into every SavedModel that save and restore the variables. Whoever loads it by
# tf.saved_model.load does not call them.
SAVER_OPS = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename", "StaticRegexFullMatch"})
MOST_OPS = 5  # A message names so many.


def ops_lines(directory: pathlib.Path) -> list[str]:
    """Returns a line for people when the export has operations that this project's exports do not have.

    Raises ValueError when its saved_model.pb cannot be read.
    """
    strange = sorted(ops_of(directory) - KNOWN_OPS)
    if not strange:
        return []
    names = f"{', '.join(strange[:MOST_OPS])}{', ...' if len(strange) > MOST_OPS else ''}"
    return [
        f"{directory}: its model has TensorFlow operations that no export of this project has ({names}); some can read "
        "and write files: go on only if you trust its maker (docs/security.md)"
    ]


def ops_of(directory: pathlib.Path) -> set[str]:
    """Returns the names of all operations of an export but those that only its saver has.

    Raises ValueError when its saved_model.pb cannot be read, or is of TensorFlow 1, whose saver would be run.
    """
    model = SavedModel()
    try:
        model.ParseFromString((directory / MODEL).read_bytes())
    except DecodeError as error:
        raise ValueError(f"{MODEL}: {error}") from None
    found: set[str] = set()
    for graph in model.meta_graphs:
        if not graph.object_graph_def.nodes:
            raise ValueError(f"{MODEL} has no object graph, as those of TensorFlow 1")
        functions = {function.signature.name: function for function in graph.graph_def.library.function}
        saver = {graph.saver_def.save_tensor_name.partition(":")[0], graph.saver_def.restore_op_name}
        own = [node for node in graph.graph_def.node if node.name not in saver]
        of_saver = _called(functions, (node for node in graph.graph_def.node if node.name in saver))
        # Functions that are called from elsewhere too, or that whoever loads the model can call, are no saver's.
        only_savers = of_saver - _called(functions, own) - set(graph.object_graph_def.concrete_functions)
        found |= {node.op for node in own}
        for name, function in functions.items():
            ops = {node.op for node in function.node_def}
            found |= ops - SAVER_OPS if name in only_savers else ops
        found -= set(functions)
    return {name if name.isidentifier() else ascii(name) for name in found}


def _called(functions: Mapping[str, Any], nodes: Iterable[Any]) -> set[str]:
    """Returns the names of all functions that the nodes call, directly or through others."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for name in _named(waiting.pop()):
            if name in functions and name not in found:
                found.add(name)
                waiting.extend(functions[name].node_def)
    return found


def _named(node: Any) -> Iterator[str]:
    """Yields the names of the functions that a node may call: its own, and those in its attributes."""
    yield node.op
    for value in node.attr.values():
        yield value.func.name
        yield from (function.name for function in value.list.func)
