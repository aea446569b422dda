"""Models in ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from data_tools.features.pretrained.runtime import Runtime, missing_tensor, model_file
from data_tools.io.files import missing, reading

DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}
EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


class ONNXModel(Runtime):
    """A model in an ONNX file.

    Args:
        model: the file.
        output: name of an output or of an internal tensor; the first output if None.

    Raises:
        FileNotFoundError: if the file does not exist.
        ImportError: if ONNX Runtime is not installed, or `onnx` for an internal tensor.
        ValueError: if the file is damaged, or has no such tensor.

    Example:
        >>> import onnx
        >>> from onnx import helper
        >>> value = helper.make_tensor_value_info
        >>> inputs = [value("x", onnx.TensorProto.FLOAT, ["n", 3])]
        >>> nodes = [
        ...     helper.make_node("Relu", ["x"], ["hidden"]),
        ...     helper.make_node("Neg", ["hidden"], ["y"]),
        ... ]
        >>> outputs = [value("y", onnx.TensorProto.FLOAT, ["n", 3])]
        >>> graph = helper.make_graph(nodes, "g", inputs, outputs)
        >>> opsets = [helper.make_opsetid("", 17)]
        >>> onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), "m.onnx")
        >>> ONNXModel("m.onnx", "hidden")(np.array([[-1.0, 0.0, 2.0]])).tolist()
        [[0.0, 0.0, 2.0]]
    """

    def __init__(self, model: str, output: str | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise missing("onnxruntime", "ONNX models need", error) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = _session(onnxruntime, model_file(model), options)
        outputs = [each.name for each in self._session.get_outputs()]
        self.output = outputs[0] if output is None else output
        if self.output not in outputs:
            # ONNX Runtime returns graph outputs alone: the tensor becomes one.
            content = _with_output(model, self.output)
            folder = os.path.dirname(os.path.abspath(model))
            options.add_session_config_entry(EXTERNAL_FOLDER, folder)
            self._session = _session(onnxruntime, content, options)
        # Layers behind the output, such as a classifier, are not computed.
        self._options = onnxruntime.RunOptions()
        self._options.only_execute_path_to_fetches = True
        self.inputs = {each.name: each for each in self._session.get_inputs()}
        self.input_name = next(iter(self.inputs))
        first = self.inputs[self.input_name]
        self.input_shape = tuple(
            size if isinstance(size, int) and size > 0 else None for size in first.shape
        )
        self.input_dtype = self.dtype_of(self.input_name)

    def dtype_of(self, name: str) -> np.dtype:
        """Dtype of an input."""
        kind = self.inputs[name].type
        if kind not in DTYPES:
            raise ValueError(f"input {name!r} must be one of {sorted(DTYPES)}. Received: {kind}")
        return np.dtype(DTYPES[kind])

    def run(self, inputs: np.ndarray) -> np.ndarray:
        return self.run_named({self.input_name: inputs})

    def run_named(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """The output for inputs by name, for models that take several."""
        return self._session.run([self.output], inputs, self._options)[0]


def _session(onnxruntime: Any, model: str | bytes, options: Any) -> Any:
    with reading(model if isinstance(model, str) else "the model", "be an ONNX model"):
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _with_output(model: str, output: str) -> bytes:
    try:
        import onnx
    except ImportError as error:
        raise missing("onnx", "an internal tensor of an ONNX model needs", error) from error
    with reading(model, "be an ONNX model"):
        proto = onnx.load(model, load_external_data=False)
    names = [name for node in proto.graph.node for name in node.output]
    if output not in names:
        raise missing_tensor(model, output, [each.name for each in proto.graph.output] + names)
    proto.graph.output.append(onnx.ValueInfoProto(name=output))
    return proto.SerializeToString()
