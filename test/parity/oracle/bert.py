"""Tiny random BERTs: a model folder each, and the hidden states of transformers' BertModel layer by
layer, one sequence at a time, in float64 (the reference); and how far float32 is from it."""

from dataclasses import dataclass, field

import numpy
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from oracle.common import (
    fresh_folder,
    max_abs,
    offsets_of,
    randomize,
    write_arrays,
    write_json,
)

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


@dataclass
class Case:
    heads: int
    head_dim: int
    layers: int
    inner: int
    activation: str
    types: int = 2
    epsilon: float = 1e-12
    dtype: str = "f32"
    prefix: str = ""
    shards: int = 1
    extras: bool = False  # tensors that real checkpoints carry and an encoder does not use
    lengths: list = field(default_factory=lambda: [5, 1, 18, 2])
    vocabulary: int = 61
    std: float = 0.3


CASES = {
    "h1x8": Case(1, 8, 1, 12, "gelu", extras=True),
    "h12x8": Case(12, 8, 1, 40, "gelu", types=1, epsilon=1e-5, prefix="bert."),
    "h3x12": Case(3, 12, 2, 52, "gelu_new", epsilon=1e-6, prefix="bert.", extras=True),
    "h2x24": Case(2, 24, 4, 30, "relu", types=3, epsilon=1e-5),
    "h2x32": Case(2, 32, 2, 70, "silu", types=1, dtype="f16"),
    "h1x64": Case(1, 64, 2, 65, "gelu_pytorch_tanh", dtype="bf16", shards=3),
    "h1x80": Case(1, 80, 1, 96, "gelu", types=3, dtype="f16", prefix="bert."),
    "h1x128": Case(1, 128, 1, 33, "relu", dtype="bf16", lengths=[3, 17, 1]),
    "h3x11": Case(3, 11, 3, 77, "gelu", types=3, epsilon=1e-3),
    "h7x9": Case(7, 9, 2, 41, "silu", shards=2, prefix="bert."),
    "h5x16": Case(5, 16, 1, 100, "gelu_new", dtype="f16", extras=True),
    "h11x8": Case(11, 8, 1, 29, "relu", epsilon=0.1, dtype="f16"),
    "long": Case(2, 8, 2, 24, "gelu", lengths=[130, 64, 1, 33]),
    "large-values": Case(2, 16, 2, 48, "gelu", std=2.0),
}


def build(case: Case, seed: int) -> BertModel:
    config = BertConfig(
        vocab_size=case.vocabulary,
        hidden_size=case.heads * case.head_dim,
        num_hidden_layers=case.layers,
        num_attention_heads=case.heads,
        intermediate_size=case.inner,
        hidden_act=case.activation,
        type_vocab_size=case.types,
        layer_norm_eps=case.epsilon,
        max_position_embeddings=max(case.lengths) + 3,
    )
    model = BertModel(config, add_pooling_layer=case.extras)
    randomize(model, seed, case.std)
    return model


def stored_tensors(model: BertModel, case: Case):
    tensors = {
        case.prefix + name: tensor.to(DTYPES[case.dtype]).contiguous()
        for name, tensor in model.state_dict().items()
    }
    if case.extras:
        positions = torch.arange(model.config.max_position_embeddings).unsqueeze(0)
        tensors[case.prefix + "embeddings.position_ids"] = positions
        tensors["cls.predictions.bias"] = torch.zeros(case.vocabulary)
    return tensors


def save(model: BertModel, case: Case, folder):
    config = model.config.to_dict()
    config["architectures"] = ["BertForMaskedLM" if case.prefix else "BertModel"]
    write_json(folder / "config.json", config)
    tensors = stored_tensors(model, case)
    if case.shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(tensors)
    weight_map = {}
    for shard in range(case.shards):
        file = f"model-{shard + 1:05}-of-{case.shards:05}.safetensors"
        mine = names[shard :: case.shards]
        save_file({n: tensors[n] for n in mine}, folder / file, metadata={"format": "pt"})
        weight_map.update({n: file for n in mine})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(
        folder / "model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": weight_map},
    )


def hidden_states(folder, dtype, sequences, types):
    """[layers + 1, T, E], from the folder as saved."""
    model = BertModel.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", add_pooling_layer=False
    ).eval()
    states = []
    for tokens, segment in zip(sequences, types):
        output = model(
            input_ids=torch.tensor([tokens]),
            token_type_ids=torch.tensor([segment]),
            output_hidden_states=True,
        )
        states.append(torch.stack([h[0] for h in output.hidden_states]))
    return torch.cat(states, dim=1).numpy()


def make(out):
    fresh_folder(out)
    for seed, (name, case) in enumerate(CASES.items(), start=1):
        folder = fresh_folder(out / name)
        save(build(case, seed), case, folder)
        random = numpy.random.default_rng(seed)
        sequences = [random.integers(0, case.vocabulary, n).tolist() for n in case.lengths]
        types = [random.integers(0, case.types, n).tolist() for n in case.lengths]
        exact = hidden_states(folder, torch.float64, sequences, types)
        single = hidden_states(folder, torch.float32, sequences, types)
        assert exact.dtype == numpy.float64 and single.dtype == numpy.float32
        write_arrays(
            folder / "golden.safetensors",
            {
                "tokens": numpy.concatenate(sequences).astype(numpy.int32),
                "types": numpy.concatenate(types).astype(numpy.int32),
                "offsets": offsets_of(sequences),
                "layers_f64": exact,
                "torch_f32_max_abs": numpy.array([max_abs(s, e) for s, e in zip(single, exact)]),
            },
        )
        write_json(folder / "golden.json", {"seed": seed, "case": vars(case)})
        print("bert", name, exact.shape, "torch f32 from f64:", max_abs(single, exact))
