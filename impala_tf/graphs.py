"""Calling a graph with little overhead. With networks of microseconds, the way to call them decides the speed."""

from collections.abc import Callable

import tensorflow as tf


def direct_call(function: Callable, inputs: list[tf.Tensor], in_this_thread: bool) -> Callable:
    """`function` as a graph, traced for inputs like these: a callable from a list of tensors to a list of tensors.

    `tf.function` would look up the trace and sort the arguments in Python at every call; this does it once.

    in_this_thread: run op by op in the calling thread. TensorFlow's usual executor hands ops to a pool of threads; if
    they take microseconds, and some wait for Python's lock, that costs more than the ops. Loops and conditions of the
    graph need the usual one. Figures: docs/performance.md.
    """
    graph = tf.function(function, autograph=False).get_concrete_function(*inputs)
    types = [x.dtype for x in graph.outputs]
    executor = "SINGLE_THREADED_EXECUTOR" if in_this_thread else ""

    def call(values: list[tf.Tensor]) -> list[tf.Tensor]:
        captured = graph.captured_inputs
        return tf.raw_ops.StatefulPartitionedCall(
            args=[*values, *captured], Tout=types, f=graph, executor_type=executor
        )

    return call
