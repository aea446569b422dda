"""Models in LiteRT (TensorFlow Lite) files."""

from __future__ import annotations

import warnings

import numpy as np

from data_tools.features.pretrained.runtime import Runtime, missing_tensor, model_file
from data_tools.io.files import filtered_stderr, missing, reading


class LiteRTModel(Runtime):
    """A model in a `.tflite` file, run by `ai-edge-litert`.

    Args:
        model: the file.
        output: name of an output or of an internal tensor, or the end of one after a slash, such as
            "layer28/reduce_mean"; the first output if None.

    Raises:
        FileNotFoundError: if the file does not exist.
        ImportError: if LiteRT is not installed.
        ValueError: if the file is damaged, or has no such tensor or several.
    """

    def __init__(self, model: str, output: str | None = None) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise missing("ai_edge_litert", "LiteRT models need", error) from error

        def opened(preserve: bool) -> Interpreter:
            with warnings.catch_warnings():
                # It warns of memory: internal tensors of a clip at a time are few megabytes.
                warnings.simplefilter("ignore", UserWarning)
                return Interpreter(
                    model_file(model),
                    num_threads=1,
                    experimental_preserve_all_tensors=preserve,
                )

        with reading(model, "be a LiteRT model"), filtered_stderr():
            interpreter = opened(preserve=False)
            outputs = interpreter.get_output_details()
            known = {each["name"]: each["index"] for each in outputs}
            if output is None:
                output = outputs[0]["name"]
            if output not in known:
                # Otherwise the memory of an internal tensor is used again within a run.
                interpreter = opened(preserve=True)
                interpreter.allocate_tensors()
                known = {each["name"]: each["index"] for each in interpreter.get_tensor_details()}
            interpreter.allocate_tensors()
        found = [name for name in known if name == output or name.endswith(f"/{output}")]
        if len(found) != 1:
            raise missing_tensor(model, output, found or list(known))
        self.output, self._index = found[0], known[found[0]]
        self._interpreter = interpreter
        first = interpreter.get_input_details()[0]
        self._input = first["index"]
        # A batch axis that is marked as free is run one by one: the interpreter keeps one size.
        self.input_shape = tuple(int(size) for size in first["shape"])
        self.input_dtype = np.dtype(first["dtype"])
        self._input_scale = self._scale(first)
        details = interpreter.get_tensor_details()
        self._output_scale = self._scale(
            next(each for each in details if each["index"] == self._index)
        )

    @staticmethod
    def _scale(detail: dict) -> tuple[float, int] | None:
        scale, zero = detail["quantization"]
        return (scale, zero) if scale else None

    def run(self, inputs: np.ndarray) -> np.ndarray:
        self._interpreter.set_tensor(self._input, inputs)
        self._interpreter.invoke()
        values = self._interpreter.get_tensor(self._index)
        if self._output_scale is not None and values.dtype.kind in "iu":
            scale, zero = self._output_scale
            values = (values.astype(np.float32) - zero) * np.float32(scale)
        return values
