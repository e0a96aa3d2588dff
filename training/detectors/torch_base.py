"""What detectors that are torch modules share: scoring in blocks, seeded fitting, export."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from training.detectors.base import F64, Detector, Inputs, Windows

_BLOCK = 8192
Net = TypeVar("Net", bound=nn.Module)


class TorchDetector(Detector, Generic[Net]):
    """A detector whose raw score is a torch module; its inputs are ``x`` (tabular), ``s`` (windows), or both."""

    module: Net | None = None

    @property
    def parameters(self) -> int:
        """Count of numbers that training chose, landmarks included."""
        return sum(p.numel() for p in self._fitted().parameters())

    def raw_score(self, X: Inputs) -> F64:
        """Score on the model's own scale, (n,) float64, higher = riskier."""
        module, tensors = self._fitted(), tensors_of(X)
        n = len(tensors[0])
        out = np.empty(n, np.float64)
        with torch.no_grad():
            for start in range(0, n, _BLOCK):
                block = [tensor[start : start + _BLOCK] for tensor in tensors]
                out[start : start + _BLOCK] = module(*block).numpy()
        return out

    def to_onnx(self, path: Path) -> None:
        """Write the graph of `raw_score` with a free batch dimension."""
        export_graph(self._fitted(), self._example(), path)

    def _fitted(self) -> Net:
        if self.module is None:
            raise ValueError(f"{type(self).__name__} is not fitted")
        return self.module

    def _example(self) -> dict[str, Tensor]:
        """Inputs by name, in the order of ``module.forward``, any batch > 1."""
        raise NotImplementedError


def tensors_of(X: Inputs) -> list[Tensor]:
    """Copy inputs to tensors in the order a module takes them."""
    arrays = [X.steps, X.row] if isinstance(X, Windows) else [X]
    return [torch.tensor(np.ascontiguousarray(array, np.float32)) for array in arrays]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Seed torch inside the block, on one thread, and leave its generator and threads as they were.

    Models this small train faster on one thread, and sums do not depend on the machine's number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield torch.Generator().manual_seed(seed)
    finally:
        torch.set_num_threads(threads)


def batches(n: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Give all of n positions once, in random order, cut into batches."""
    yield from torch.split(torch.randperm(n, generator=generator), size)


def export_graph(module: nn.Module, example: dict[str, Tensor], path: Path, output: str = "score") -> None:
    """Export a module in evaluation mode; every input's first dimension is the batch; `output` names the result."""
    module.eval()
    batch = torch.export.Dim("batch", min=1)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                tuple(example.values()),
                dynamo=True,
                input_names=list(example),
                output_names=[output],
                dynamic_shapes=tuple({0: batch} for _ in example),
                verbose=False,
                optimize=True,
            )
    finally:
        quiet.setLevel(level)
    proto = program.model_proto
    # the exporter writes source paths and stack traces of this machine into every node
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del proto.graph.metadata_props[:]
    for value in proto.graph.value_info:
        del value.metadata_props[:]
    path.write_bytes(proto.SerializeToString(deterministic=True))
