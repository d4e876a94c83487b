"""What every exported model shares: texts as tokens go in, batches for its graph and the opened graph come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile
from tokenizers import Encoding

GRAPH, TOKENIZER, CARD = "model.onnx", "tokenizer.json", "card.json"
"""The files of an exported model."""
QUESTION_GRAPH = "questions.onnx"
"""The same model in eight bits, for questions."""

DAMAGED = (OSError, ValueError, TypeError, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile)
"""What reading the files of a damaged export raises."""

BATCH_TOKENS = 256
"""Padded tokens in one batch. Measured on two cores: long chunks are fastest alone, short sentences by the dozen."""

Batch = Mapping[str, npt.NDArray[np.int64]]
"""The named inputs of a model, each of shape (batch, tokens)."""


class OnnxGraph:
    """Runs a whole model that has one output. Thread-safe."""

    def __init__(self, path: Path, *, output: str, threads: int) -> None:
        """Open the graph in `path`; raises one of `DAMAGED`."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Spinning threads would take the processor from the web server that waits for this very result.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._output = output

    def __call__(self, batch: Batch) -> npt.NDArray[np.float32]:
        return cast("npt.NDArray[np.float32]", self._session.run([self._output], dict(batch))[0])


def batches(encodings: Sequence[Encoding]) -> Iterator[list[int]]:
    """Positions of texts of similar length, each batch at most `BATCH_TOKENS` once padded, or one text alone."""
    lengths = [len(encoding.ids) for encoding in encodings]
    batch: list[int] = []
    for position in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and (len(batch) + 1) * lengths[position] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def padded(encodings: Sequence[Encoding], names: Sequence[str], pad_id: int) -> Batch:
    """The inputs called `names`, of `input_ids`, `attention_mask` and `token_type_ids`, for these texts."""
    shape = (len(encodings), max(len(encoding.ids) for encoding in encodings))
    ids = np.full(shape, pad_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    types = np.zeros(shape, dtype=np.int64)
    for row, encoding in enumerate(encodings):
        length = len(encoding.ids)
        ids[row, :length] = encoding.ids
        types[row, :length] = encoding.type_ids
        mask[row, :length] = 1
    known = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: known[name] for name in names}
