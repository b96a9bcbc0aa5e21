"""Makes what the peers need from a sentence-transformers folder: the ONNX model, the cases' token ids, and the
reference vectors that every trial is checked against.

The graph is torch's plain export (no contrib fusions: onnxruntime fuses what it likes when it loads it, and a
pre-fused graph was slower on CPU), of eager attention, which was 2 to 6 % faster there than the sdpa export.
The reference is PyTorch in float64, one sequence at a time, so neither padding nor rounding is in it.
"""

import argparse
import json
import shutil
import warnings
from pathlib import Path

import numpy
import torch
import transformers
from tokenizers import Tokenizer

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]
OUTPUT = "last_hidden_state"


class LastHiddenState(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask, types):
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def load(folder):
    model = transformers.AutoModel.from_pretrained(
        folder, attn_implementation="eager", add_pooling_layer=False, dtype=torch.float32
    )
    return model.eval()


def export(model, file):
    ids = torch.randint(1000, 2000, (2, 7))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    axes = {name: {0: "batch", 1: "sequence"} for name in [*INPUTS, OUTPUT]}
    torch.onnx.export(
        LastHiddenState(model).eval(),
        (ids, mask, torch.zeros_like(ids)),
        str(file),
        dynamo=False,
        opset_version=17,
        input_names=INPUTS,
        output_names=[OUTPUT],
        dynamic_axes=axes,
    )


def tokenise(folder, sentences):
    """Token ids of each sentence, as sentence-transformers makes them for this folder."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer.enable_truncation(limit)
    return [encoding.ids for encoding in tokenizer.encode_batch(sentences)]


def dense(sentence_ids, sequences, length):
    """Sequences of exactly `length` tokens: the text's ids run on, between the first and last special token."""
    first, last = sentence_ids[0][0], sentence_ids[0][-1]
    stream = [token for ids in sentence_ids for token in ids[1:-1]]
    body = length - 2
    assert sequences * body <= len(stream), "the text is too short for this case"
    return [[first, *stream[i * body : (i + 1) * body], last] for i in range(sequences)]


@torch.inference_mode()
def reference(model, rows):
    vectors = []
    for row in rows:
        ids = torch.tensor([row])
        hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        mean = hidden.mean(0)
        vectors.append((mean / mean.norm()).numpy())
    return numpy.stack(vectors).astype(numpy.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--dense", nargs="*", default=[], help="SEQUENCESxLENGTH")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    (options.out / "onnx").mkdir(parents=True, exist_ok=True)
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"]:
        shutil.copyfile(options.model / name, options.out / name)
    export(load(options.model), options.out / "onnx" / "model.onnx")

    sentences = options.sentences.read_text("utf-8").splitlines()
    inputs = {"sentences": tokenise(options.model, sentences)}
    for shape in options.dense:
        sequences, length = map(int, shape.split("x"))
        inputs[shape] = dense(inputs["sentences"], sequences, length)
    (options.out / "inputs.json").write_text(json.dumps(inputs))

    # A fresh copy: the export switches its model between training and evaluation, and dropout must stay off.
    model = load(options.model).double()
    for name, rows in inputs.items():
        reference(model, rows).tofile(options.out / f"{name}.f32")
    versions = {module.__name__: module.__version__ for module in (torch, transformers, numpy)}
    (options.out / "versions.json").write_text(json.dumps(versions))


if __name__ == "__main__":
    main()
