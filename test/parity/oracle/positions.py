"""What transformers computes for position schemes: rotary frequencies and attention factors of each
scaling, ALiBi slopes, and T5's buckets of distances far beyond the one from which they are constant."""

import json

import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.t5.modeling_t5 import T5Attention

from oracle.common import fresh_folder, versions

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}

# (base, head dim, parameters)
ROTARY = [
    (10000.0, 2, {"rope_type": "default"}),
    (10000.0, 64, {"rope_type": "default"}),
    (500000.0, 128, {"rope_type": "default"}),
    (1000000.0, 96, {"rope_type": "default"}),
    (10000.0, 64, {"rope_type": "linear", "factor": 2.5}),
    (500000.0, 128, LLAMA3),
    (500000.0, 64, {**LLAMA3, "factor": 32.0}),
    (10000.0, 80, {**LLAMA3, "low_freq_factor": 2.0, "original_max_position_embeddings": 500}),
    (1000000.0, 128, YARN),
    (10000.0, 64, {**YARN, "factor": 40.0, "original_max_position_embeddings": 4096}),
    (150000.0, 64, {**YARN, "factor": 32.0, "truncate": False}),
    (10000.0, 32, {**YARN, "attention_factor": 0.8, "beta_fast": 16, "beta_slow": 2}),
    # The ramp would end beyond the last pair.
    (10000.0, 64, {**YARN, "original_max_position_embeddings": 262144}),
    # The ramp's two ends are one pair.
    (10000.0, 16, {**YARN, "factor": 0.5, "original_max_position_embeddings": 6}),
]
HEADS = [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 31, 32, 64, 71, 112, 128]
# (buckets, maximal distance, bidirectional)
BUCKETS = [
    (32, 128, True),
    (32, 128, False),
    (8, 20, True),
    (8, 20, False),
    (64, 256, True),
    (16, 64, False),
    (12, 40, True),
    (4, 3, True),
    (2, 9, False),
    (7, 33, False),
    (9, 33, True),
    (160, 400, True),
]


def rotary(base, dims, parameters):
    config = LlamaConfig(
        hidden_size=dims,
        num_attention_heads=1,
        rope_parameters={**parameters, "rope_theta": base},
    )
    kind = parameters["rope_type"]
    default = LlamaRotaryEmbedding.compute_default_rope_parameters
    compute = default if kind == "default" else ROPE_INIT_FUNCTIONS[kind]
    frequencies, factor = compute(config, device="cpu")
    return {
        "base": base,
        "dims": dims,
        "parameters": parameters,
        "frequencies": frequencies.tolist(),
        "attention_factor": factor,
    }


def slopes(heads):
    """ALiBi at the key position 1."""
    return build_alibi_tensor(torch.ones(1, 2), heads, torch.float32)[:, 0, 1].tolist()


def buckets(count, distance, bidirectional):
    """Of distances from -2 to 2 times the maximal one."""
    distances = torch.arange(-2 * distance, 2 * distance + 1)
    values = T5Attention._relative_position_bucket(distances, bidirectional, count, distance)
    return {
        "buckets": count,
        "maxDistance": distance,
        "bidirectional": bidirectional,
        "values": values.tolist(),
    }


def make(out):
    fresh_folder(out)
    values = {
        "versions": versions(),
        "rotary": [rotary(*case) for case in ROTARY],
        "slopes": [slopes(heads) for heads in HEADS],
        "relative": [buckets(*case) for case in BUCKETS],
    }
    (out / "golden.json").write_text(json.dumps(values) + "\n")
    print("positions", {name: len(cases) for name, cases in values.items()})
