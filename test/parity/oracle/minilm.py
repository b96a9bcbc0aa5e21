"""all-MiniLM-L6-v2 on test/parity/texts.json: token ids and unit vectors, one text at a time."""

import json

import numpy
import torch
from sentence_transformers import SentenceTransformer

from oracle.common import max_abs, offsets_of, write_arrays, write_json


def read_texts(path):
    """A text is stored, or is `parts` taken in turn `times` times and joined."""
    for entry in json.loads(path.read_text()):
        if "text" in entry:
            yield entry["text"]
        else:
            parts, times = entry["repeat"]["parts"], entry["repeat"]["times"]
            yield "".join(parts[i % len(parts)] for i in range(times))


def outcome_of_lone_surrogate(model):
    try:
        model.encode(["a\ud800b"])
    except Exception as error:
        return {"raises": type(error).__name__, "message": str(error)}
    return {"raises": None}


def make(folder, texts_path, out):
    texts = list(read_texts(texts_path))
    model = SentenceTransformer(str(folder), device="cpu")
    ids = [model.preprocess([text])["input_ids"][0].tolist() for text in texts]
    # Batches of one: no padding and no neighbour can touch a vector.
    vectors = numpy.stack([model.encode([text], batch_size=1)[0] for text in texts])
    assert vectors.dtype == numpy.float32
    double = SentenceTransformer(str(folder), device="cpu").to(torch.float64)
    exact = numpy.stack([double.encode([text], batch_size=1)[0] for text in texts])
    assert exact.dtype == numpy.float64

    write_arrays(
        out / "golden.safetensors",
        {
            "tokens": numpy.array([i for sequence in ids for i in sequence], dtype=numpy.int32),
            "offsets": offsets_of(ids),
            "vectors": vectors,
        },
    )
    write_json(
        out / "golden.json",
        {
            "model": "sentence-transformers/all-MiniLM-L6-v2",
            "texts": len(texts),
            "maxSequenceLength": model.max_seq_length,
            "torchF32MaxAbsFromF64": max_abs(vectors, exact),
            "loneSurrogate": outcome_of_lone_surrogate(model),
        },
    )
    print("minilm", len(texts), "texts, torch f32 from f64:", max_abs(vectors, exact))
