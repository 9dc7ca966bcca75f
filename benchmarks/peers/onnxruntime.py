"""ONNX Runtime: all graph optimizations, no spinning; one thread, or all for many rows."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import helper, numpy_helper

from . import Job

OPERATORS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softmax": "Softmax"}


def model(workload: Any) -> bytes:
    """A chain of Gemm and activation."""
    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(workload.dtype))
    nodes, constants, a = [], [], "X"
    for i, ((weights, biases), name) in enumerate(zip(workload.layers(), workload.activations, strict=True)):
        constants += [numpy_helper.from_array(weights, f"W{i}"), numpy_helper.from_array(biases, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [a, f"W{i}", f"b{i}"], [f"z{i}"]))
        a = f"z{i}"
        if name in OPERATORS:
            nodes.append(helper.make_node(OPERATORS[name], [a], [f"a{i}"]))
            a = f"a{i}"
    nodes.append(helper.make_node("Identity", [a], ["y"]))  # optimized away
    ends = [
        helper.make_tensor_value_info(name, dtype, ["rows", size])
        for name, size in (("X", workload.layer_sizes[0]), ("y", workload.layer_sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "mlp", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()


def session(workload: Any, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    for pool in ("intra", "inter"):
        options.add_session_config_entry(f"session.{pool}_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model(workload), options, providers=["CPUExecutionProvider"])


def training(workload: Any) -> dict[str, Job]:
    return {}


def prediction(workload: Any) -> dict[str, Job]:
    X, _ = workload.data()
    if len(X) > 1:
        threads = {"1 thread": 1, "all threads": 0}
        return {label: run(X, session(workload, number)) for label, number in threads.items()}
    one_thread = session(workload, 1)
    return {"": run(X, one_thread), "bound arrays": run_bound(X, one_thread, workload)}


def run(X: np.ndarray, opened: onnxruntime.InferenceSession) -> Job:
    return Job("y = run(['y'], {'X': X})[0]", {"run": opened.run, "X": X}, "y")


def run_bound(X: np.ndarray, opened: onnxruntime.InferenceSession, workload: Any) -> Job:
    """Input and output stay where they are; the samples are copied in, since a caller's next come from elsewhere."""
    bound_X, bound_y = np.empty_like(X), np.empty((len(X), workload.layer_sizes[-1]), X.dtype)
    binding = opened.io_binding()
    binding.bind_ortvalue_input("X", onnxruntime.OrtValue.ortvalue_from_numpy(bound_X))
    binding.bind_ortvalue_output("y", onnxruntime.OrtValue.ortvalue_from_numpy(bound_y))
    names = {"run": opened.run_with_iobinding, "binding": binding, "X": X, "bound_X": bound_X, "bound_y": bound_y}
    return Job("bound_X[...] = X; run(binding)", names, "bound_y")
