"""Small plans with every block and field of lib/plan.ts, run in float64 by torch's own functions (attention,
norms, activations), sequence by sequence: the stream after each block judges the naive reference."""

import numpy
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from oracle.common import fresh_folder, offsets_of, versions, write_arrays, write_json

ACTIVATIONS = {
    "identity": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
}


class Composer:
    """Makes weights, in float32, and the parts of blocks that name them."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.weights = {}

    def store(self, *shape, centre=0.0, spread=0.3):
        name = f"w{len(self.weights)}"
        values = torch.randn(shape, generator=self.generator) * spread + centre
        self.weights[name] = values
        return {"tensor": name}

    def linear(self, out, columns, bias=True, weight=None):
        weight = weight or self.store(out, columns)
        return {"weight": weight, **({"bias": self.store(out)} if bias else {})}

    def norm(self, kind, columns, epsilon=1e-5):
        spec = {"kind": kind, "epsilon": epsilon}
        if kind != "l2":
            spec["gain"] = self.store(columns, centre=1.0)
        if kind == "layer":
            spec["bias"] = self.store(columns)
        return spec

    def attention(self, width, heads, dim, key_heads=None, key_columns=None, bias=True, **options):
        keys = (key_heads or heads) * dim
        columns = key_columns or width
        return {
            "block": "attention",
            "heads": heads,
            **({"keyHeads": key_heads} if key_heads else {}),
            "headDim": dim,
            "query": self.linear(heads * dim, width, bias),
            "key": self.linear(keys, columns, bias),
            "value": self.linear(keys, columns, bias),
            "output": self.linear(width, heads * dim, bias),
            **options,
        }

    def feed_forward(self, width, inner, activation, gated=False, **options):
        return {
            "block": "feedForward",
            "inner": inner,
            "activation": activation,
            **({"gate": self.linear(inner, width)} if gated else {}),
            "up": self.linear(inner, width),
            "down": self.linear(width, inner),
            **options,
        }


def decoder(c):
    """Cross-attention, rotation of the first columns of a head, norms of heads, gates, tied logits."""
    table = c.store(31, 12)
    rotary = {"frequencies": [1.0, 0.25], "magnitude": 1.25}
    blocks = [
        {
            "block": "embed",
            "vocabulary": 31,
            "tokens": table,
            "positions": {"kind": "sinusoidal", "count": 20, "layout": "split"},
            "scale": 2.0,
        },
        c.attention(
            12, 4, 6, key_heads=2, bias=False, mask="causal", rotary=rotary,
            queryNorm=c.norm("rms", 6), keyNorm=c.norm("rms", 6), normBefore=c.norm("rms", 12),
        ),
        c.attention(
            12, 3, 4, key_columns=7, keysFrom="memory", scale=0.7,
            keyNorm=c.norm("layer", 4), normAfter=c.norm("layer", 12),
        ),
        c.feed_forward(12, 17, "silu", gated=True, normBefore=c.norm("rms", 12)),
        {"block": "select"},
        {"block": "norm", "norm": c.norm("rms", 12)},
        {
            "block": "project",
            "width": 31,
            "scale": 0.3,
            "activation": "identity",
            "linear": c.linear(31, 12, weight=table),
        },
    ]  # fmt: skip
    return {"width": 12, "memoryWidth": 7, "blocks": blocks}


def alibi(c):
    """Slopes, a causal window, and queries, keys and values fused head by head."""
    fused = c.store(3 * 3 * 5, 10)
    fused_bias = c.store(3 * 3 * 5)
    attention = c.attention(10, 3, 5, mask="causal", window=6, slopes=[0.25, 0.0625, 0.5])
    for i, part in enumerate(["query", "key", "value"]):
        groups = {"groups": [5 * i, 5, 15]}
        attention[part] = {"weight": {**fused, **groups}, "bias": {**fused_bias, **groups}}
    blocks = [
        {"block": "embed", "vocabulary": 31, "tokens": c.store(31, 10), "norm": c.norm("layer", 10)},
        attention,
        c.feed_forward(10, 40, "gelu_tanh", normBefore=c.norm("layer", 10)),
        c.attention(10, 2, 3, slopes=[-0.125, 0.75]),
        {"block": "norm", "norm": c.norm("l2", 10, 1e-12)},
    ]
    return {"width": 10, "blocks": blocks}


def relative(c):
    """One table of relative biases for a bidirectional and a causal layer; scores without a scale."""
    table = c.store(7, 2, spread=1.0)
    both = {"table": table, "bucketCount": 7, "buckets": [3, 2, 1, 0, 4, 5, 6]}
    past = {"table": table, "bucketCount": 7, "buckets": [6, 5, 3, 3, 1, 0, 0, 0, 0, 0, 0]}
    blocks = [
        {
            "block": "embed",
            "vocabulary": 31,
            "tokens": c.store(31, 9),
            "types": {"table": c.store(3, 9), "count": 3},
            "positions": {"kind": "sinusoidal", "count": 20},
        },
        c.attention(9, 2, 4, relativeBias=both, scale=1.0, normBefore=c.norm("rms", 9)),
        c.feed_forward(9, 11, "gelu", gated=True, normBefore=c.norm("rms", 9)),
        c.attention(
            9, 2, 4, relativeBias=past, mask="causal", queryNorm=c.norm("l2", 4, 1e-6),
            normAfter=c.norm("rms", 9),
        ),
        c.feed_forward(9, 11, "tanh"),
        {"block": "pool", "parts": ["max", "weighted"]},
        {"block": "project", "width": 5, "activation": "relu", "linear": c.linear(5, 18)},
    ]  # fmt: skip
    return {"width": 9, "blocks": blocks}


def neighbours(c):
    """Rotation of neighbouring columns, a window to both sides, transposed and cut weights."""
    up = {**c.store(8, 30), "transpose": True}
    attention = c.attention(
        8, 2, 6, window=2, rotary={"frequencies": [1.0, 0.5, 0.01], "pairs": "neighbours"}
    )
    feed_forward = c.feed_forward(8, 15, "relu", gated=True, normAfter=c.norm("layer", 8, 0.01))
    feed_forward["gate"] = {"weight": {**up, "rows": [0, 15]}}
    feed_forward["up"] = {"weight": {**up, "rows": [15, 30]}}
    positions = {"kind": "learned", "table": c.store(22, 8), "count": 22, "offset": 2}
    blocks = [
        {"block": "embed", "vocabulary": 31, "tokens": c.store(31, 8), "positions": positions},
        attention,
        feed_forward,
        {"block": "project", "width": 6, "activation": "silu", "linear": c.linear(6, 8)},
    ]
    return {"width": 8, "blocks": blocks}


def view(weights, ref):
    values = weights[ref["tensor"]].double()
    if ref.get("transpose") and values.dim() == 2:
        values = values.T
    if "rows" in ref:
        return values[slice(*ref["rows"])]
    if "groups" in ref:
        begin, length, step = ref["groups"]
        return torch.cat([values[i : i + length] for i in range(begin, len(values), step)])
    return values


class Runner:
    """One sequence through a plan."""

    def __init__(self, weights, inputs):
        self.weights = weights
        self.inputs = inputs

    def view(self, ref):
        return view(self.weights, ref)

    def linear(self, spec, x, scale=1.0):
        bias = self.view(spec["bias"]) if "bias" in spec else None
        return F.linear(x, scale * self.view(spec["weight"]), bias)

    def norm(self, spec, x):
        if spec is None:
            return x
        size = [x.shape[-1]]
        gain = self.view(spec["gain"]) if "gain" in spec else None
        if spec["kind"] == "layer":
            return F.layer_norm(x, size, gain, self.view(spec["bias"]), spec["epsilon"])
        if spec["kind"] == "rms":
            return F.rms_norm(x, size, gain, spec["epsilon"])
        return F.normalize(x, dim=-1, eps=spec["epsilon"])

    def embed(self, block, _):
        tokens = torch.tensor(self.inputs["tokens"])
        x = block.get("scale", 1.0) * F.embedding(tokens, self.view(block["tokens"]))
        if "types" in block:
            x = x + F.embedding(torch.tensor(self.inputs["types"]), self.view(block["types"]["table"]))
        positions = block.get("positions")
        if positions:
            x = x + self.positions(positions, len(tokens), x.shape[1])
        return self.norm(block.get("norm"), x)

    def positions(self, positions, count, width):
        if positions["kind"] == "learned":
            offset = positions.get("offset", 0)
            return self.view(positions["table"])[offset : offset + count]
        pairs = torch.arange((width + 1) // 2, dtype=torch.float64)
        angles = torch.arange(count).double()[:, None] / 10000 ** (2 * pairs / width)
        if positions.get("layout") == "split":
            table = torch.cat([angles.sin(), angles.cos()], dim=1)
        else:
            table = torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
        return table[:, :width].float().double()

    def attention(self, block, x):
        inner = self.norm(block.get("normBefore"), x)
        source = self.inputs["memory"] if block.get("keysFrom") == "memory" else inner
        dim = block["headDim"]

        def heads(name, rows):
            return self.linear(block[name], rows).unflatten(1, (-1, dim)).transpose(0, 1)

        query = self.norm(block.get("queryNorm"), heads("query", inner))
        key = self.norm(block.get("keyNorm"), heads("key", source))
        if "rotary" in block:
            query, key = rotate(block["rotary"], query), rotate(block["rotary"], key)
        mixed = F.scaled_dot_product_attention(
            query[None],
            key[None],
            heads("value", source)[None],
            attn_mask=self.bias(block, len(x), len(source))[None],
            scale=block.get("scale"),
            enable_gqa=True,
        )[0]
        output = self.linear(block["output"], mixed.transpose(0, 1).flatten(1))
        return self.norm(block.get("normAfter"), x + output)

    def bias(self, block, queries, keys):
        """[heads, queries, keys], minus infinity where a query does not see a key."""
        distance = torch.arange(keys)[None, :] - torch.arange(queries)[:, None]
        bias = torch.zeros(block["heads"], queries, keys, dtype=torch.float64)
        if "slopes" in block:
            bias = bias + torch.tensor(block["slopes"], dtype=torch.float64)[:, None, None] * distance
        if "relativeBias" in block:
            buckets = torch.tensor(block["relativeBias"]["buckets"])
            limit = len(buckets) // 2
            table = self.view(block["relativeBias"]["table"])
            bias = bias + table[buckets[distance.clamp(-limit, limit) + limit]].permute(2, 0, 1)
        hidden = torch.zeros_like(distance, dtype=torch.bool)
        if block.get("mask") == "causal":
            hidden |= distance > 0
        if "window" in block:
            hidden |= distance.abs() > block["window"]
        return bias.masked_fill(hidden, float("-inf"))

    def feedForward(self, block, x):
        activation = ACTIVATIONS[block["activation"]]
        inner = self.norm(block.get("normBefore"), x)
        up = self.linear(block["up"], inner)
        hidden = activation(self.linear(block["gate"], inner)) * up if "gate" in block else activation(up)
        return self.norm(block.get("normAfter"), x + self.linear(block["down"], hidden))

    def project(self, block, x):
        return ACTIVATIONS[block["activation"]](
            self.linear(block["linear"], x, block.get("scale", 1.0))
        )

    def pool(self, block, x):
        parts = {
            "max": lambda: x.max(dim=0).values,
            "weighted": lambda: torch.tensor(self.inputs["poolWeights"]).double() @ x,
        }
        return torch.cat([parts[part]() for part in block["parts"]])[None]

    def select(self, block, x):
        return x[self.inputs["selected"]]

    def run(self, plan):
        x, streams = None, []
        for block in plan["blocks"]:
            kind = block["block"]
            x = self.norm(block["norm"], x) if kind == "norm" else getattr(self, kind)(block, x)
            streams.append(x)
        return streams


def rotate(rotary, x):
    """Each pair of columns as a complex number, times magnitude · e^(i · position · frequency)."""
    frequencies = torch.tensor(rotary["frequencies"], dtype=torch.float64)
    count = len(frequencies)
    angles = torch.arange(x.shape[-2]).double()[:, None] * frequencies
    turn = torch.polar(torch.full_like(angles, rotary.get("magnitude", 1.0)), angles)
    turned, rest = x[..., : 2 * count], x[..., 2 * count :]
    if rotary.get("pairs") == "neighbours":
        pairs = torch.view_as_complex(turned.unflatten(-1, (count, 2)).contiguous())
        turned = torch.view_as_real(pairs * turn).flatten(-2)
    else:
        pairs = torch.complex(turned[..., :count], turned[..., count:]) * turn
        turned = torch.cat([pairs.real, pairs.imag], dim=-1)
    return torch.cat([turned, rest], dim=-1)


CASES = {"decoder": decoder, "alibi": alibi, "relative": relative, "neighbours": neighbours}
LENGTHS = [5, 1, 17, 2]
MEMORY_LENGTHS = [3, 1, 1, 12]


def sequences(seed, memory_width):
    random = numpy.random.default_rng(seed)
    for length, memory in zip(LENGTHS, MEMORY_LENGTHS):
        rows = random.normal(size=(memory, memory_width)).astype(numpy.float32)
        yield {
            "tokens": random.integers(0, 31, length).tolist(),
            "types": random.integers(0, 3, length).tolist(),
            "poolWeights": random.random(length, dtype=numpy.float32).tolist(),
            "selected": list(range(length))[-2:],
            "memory": torch.tensor(rows).double(),
        }


def make(out):
    fresh_folder(out)
    write_json(out / "versions.json", versions())
    for seed, (name, compose) in enumerate(CASES.items(), start=1):
        folder = fresh_folder(out / name)
        composer = Composer(seed)
        plan = compose(composer)
        write_json(folder / "plan.json", plan)
        save_file(composer.weights, folder / "model.safetensors")
        inputs = list(sequences(seed, plan.get("memoryWidth", 1)))
        streams = [Runner(composer.weights, sequence).run(plan) for sequence in inputs]
        joined = lambda key: [entry for sequence in inputs for entry in sequence[key]]
        starts = offsets_of([sequence["tokens"] for sequence in inputs])
        selected = [start + row for start, s in zip(starts, inputs) for row in s["selected"]]
        arrays = {
            "tokens": numpy.array(joined("tokens"), numpy.int32),
            "offsets": starts,
            "types": numpy.array(joined("types"), numpy.int32),
            "poolWeights": numpy.array(joined("poolWeights"), numpy.float32),
            "selected": numpy.array(selected, numpy.int32),
            "memory": torch.cat([s["memory"] for s in inputs]).float().numpy(),
            "memoryOffsets": offsets_of([s["memory"] for s in inputs]),
        }
        for i in range(len(plan["blocks"])):
            arrays[f"stream_{i}"] = torch.cat([stream[i] for stream in streams]).numpy()
        write_arrays(folder / "golden.safetensors", arrays)
        print("plans", name, [block["block"] for block in plan["blocks"]])
