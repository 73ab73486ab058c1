"""The same model run by OpenVINO, an optional extra that is faster on a CPU."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from napari_cytodino.common import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_cytodino.inference.engine import FusedModel


_HINTS = {"float32": "f32", "bfloat16": "bf16"}


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise InputError(
            "Device 'openvino' needs the package openvino; run: "
            "pip install 'napari-cytodino[openvino]', or use the device 'cpu'."
        ) from error
    return openvino


def openvino_name() -> str:
    """Return how the device is called, with the version.

    Raises
    ------
    InputError
        When the package is not installed.
    """
    version = _openvino().__version__.split("-")[0]
    return f"CPU by OpenVINO {version}, {torch.get_num_threads()} threads"


def _converted(model: FusedModel, example: Tensor) -> Any:
    """Return the graph of a model, for any number of cells.

    `openvino.convert_model` does the same, but reports its use to Intel where the
    package openvino-telemetry finds a network; cells of patients lie on such machines.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    reader = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        # tracing is how OpenVINO reads a torch model; torch itself moves on
        warnings.simplefilter("ignore")
        traced = TorchScriptPythonDecoder(model, example_input=example)
    graph = reader.convert(reader.load(traced))
    graph.reshape([-1, *example.shape[1:]])
    return graph


class OpenVinoModel:
    """A model compiled for the CPU, with the interface of `FusedModel`.

    Logits differ from those of `FusedModel` in the same number type by less than 1e-3
    in float32 and 0.15 in bfloat16 (benchmarks/inference.py prints by how much).

    Parameters
    ----------
    model : FusedModel
        In float32 on the CPU.
    size : int
        Side of the input in pixels.
    dtype : str
        "float32" or "bfloat16", the latter for the backbone and the head.
    """

    def __init__(self, model: FusedModel, size: int, dtype: str) -> None:
        openvino = _openvino()
        graph = _converted(
            model.eval().requires_grad_(False), torch.zeros(2, 3, size, size)
        )
        hints = {
            "INFERENCE_PRECISION_HINT": _HINTS[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._compiled = openvino.Core().compile_model(graph, "CPU", hints)

    def predict(self, pixel_values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits (B, C), embedding (B, D) and features (B, 3 D), float32."""
        answers = self._compiled(pixel_values.numpy())
        logits, embeddings, features = (
            torch.from_numpy(answers[i].copy()) for i in range(3)
        )
        return logits, embeddings, features
