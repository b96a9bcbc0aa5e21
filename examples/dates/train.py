"""Trains the model of this folder from scratch and writes everything that it consists of.

  python3 -m venv dates-env
  dates-env/bin/pip install torch==2.15.0 safetensors==0.8.0 tokenizers==0.23.3 numpy==2.4.6
  dates-env/bin/python examples/dates/train.py [--steps N] [--out FOLDER]
"""

import argparse
import json
import platform
import random
import time
from pathlib import Path

import safetensors.torch
import tokenizers
import torch
from tokenizers import Regex, decoders, models, pre_tokenizers, processors
from torch.nn.functional import cross_entropy

from model import Settings, Transformer
from written_dates import FORMATS, draw, split_dates

HERE = Path(__file__).resolve().parent

# The dates, the inputs and the weights each come from a seed of their own; held-back inputs are written
# from other dates and with another seed than those of training.
DATES_SEED, TRAINING_SEED, HELD_BACK_SEED, WEIGHTS_SEED = 1, 2, 3, 4

PAD, START, STOP = 0, 1, 2
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
CHARACTERS = " ',-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
VOCABULARY = {token: i for i, token in enumerate([*SPECIAL, *CHARACTERS])}

BATCH = 128
POOL = 16  # batches that are sorted by length together, so that little is padded
PEAK_RATE, WARMUP = 2e-3, 200
SAVED_PER_FORMAT, TESTED_PER_FORMAT = 100, 1000

SETTINGS = Settings(
    vocabulary=len(VOCABULARY),
    width=64,
    heads=4,
    inner=256,
    layers=2,
    positions=64,
    epsilon=1e-6,
)
MOST_OUTPUT = len("2021-03-03") + 1


def ids(text: str) -> list:
    return [VOCABULARY[character] for character in text] + [STOP]


def padded(rows) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def visible(source) -> torch.Tensor:
    return (source != PAD)[:, None, None, :]


def batches(dates):
    """Endless batches of (source, target), without repetition but by chance."""
    r = random.Random(TRAINING_SEED)
    forms = list(FORMATS)
    while True:
        pairs = [draw(dates, r.choice(forms), r) for _ in range(BATCH * POOL)]
        pairs.sort(key=lambda pair: len(pair[0]))
        pool = [pairs[i : i + BATCH] for i in range(0, len(pairs), BATCH)]
        r.shuffle(pool)
        for batch in pool:
            yield padded([ids(text) for text, _ in batch]), padded([ids(iso) for _, iso in batch])


def rate(step: int, steps: int) -> float:
    """Linear up as in the paper (5.3), then linear down to 0, which suits a run of known length better."""
    return min((step + 1) / WARMUP, (steps - step) / (steps - WARMUP))


def train(dates, steps: int) -> Transformer:
    torch.manual_seed(WEIGHTS_SEED)
    model = Transformer(SETTINGS)
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    began, losses = time.perf_counter(), []
    for step, (source, target) in zip(range(1, steps + 1), batches(dates)):
        shifted = torch.cat([torch.full((len(target), 1), START), target[:, :-1]], 1)
        logits = model(source, visible(source), shifted)
        loss = cross_entropy(logits.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 0:
            mean = sum(losses[-100:]) / 100
            print(f"step {step}: loss {mean:.5f}, {time.perf_counter() - began:.0f} s", flush=True)
    return model.eval()


def answers(model: Transformer, texts) -> dict:
    """Greedy outputs by input; inputs of one length go together, so that nothing is padded."""
    result = {}
    for length in sorted({len(text) for text in texts}):
        same = [text for text in texts if len(text) == length]
        source = torch.tensor([ids(text) for text in same])
        tokens = model.greedy(source, visible(source), START, STOP, MOST_OUTPUT).tolist()
        result.update(zip(same, map(text_of, tokens)))
    return result


def text_of(tokens) -> str:
    end = tokens.index(STOP) if STOP in tokens else len(tokens)
    return "".join([*SPECIAL, *CHARACTERS][token] for token in tokens[:end])


def evaluate(model: Transformer, dates) -> list:
    """TESTED_PER_FORMAT different inputs of every format, with what is expected and what PyTorch answers."""
    r = random.Random(HELD_BACK_SEED)
    rows = []
    for form in FORMATS:
        pairs = {}
        while len(pairs) < TESTED_PER_FORMAT:
            text, iso = draw(dates, form, r)
            pairs[text] = iso
        outputs = answers(model, pairs)
        rows += [
            {"format": form, "input": text, "expected": iso, "output": outputs[text]}
            for text, iso in pairs.items()
        ]
    return rows


def accuracy(rows) -> float:
    return sum(row["expected"] == row["output"] for row in rows) / len(rows)


def make_tokenizer() -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", STOP)]
    )
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def tensors(model: Transformer) -> dict:
    """The weights by the names that multihead's transformer() gives them (lib/paper.ts)."""
    names = {
        "embedding.weight": "shared.tokens",
        ".cross_attention.": ".crossAttention.",
        ".feed_forward.": ".feedForward.",
        ".norm.weight": ".normAfter.gain",
        ".norm.bias": ".normAfter.bias",
    }
    result = {}
    for name, tensor in model.state_dict().items():
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        result[name] = tensor
    return result


def config() -> dict:
    return {
        "model_type": "transformer",
        "vocab_size": SETTINGS.vocabulary,
        "d_model": SETTINGS.width,
        "num_heads": SETTINGS.heads,
        "d_ff": SETTINGS.inner,
        "num_layers": SETTINGS.layers,
        "max_position_embeddings": SETTINGS.positions,
        "layer_norm_eps": SETTINGS.epsilon,
        "is_encoder_decoder": True,
        "tie_word_embeddings": True,
        "pad_token_id": PAD,
        "decoder_start_token_id": START,
        "eos_token_id": STOP,
    }


def versions() -> dict:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "tokenizers": tokenizers.__version__,
        "safetensors": safetensors.__version__,
        "machine": platform.machine(),
        "torch cpu capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def write_json(path: Path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)

    training, held_back = split_dates(DATES_SEED)
    wall, cpu = time.perf_counter(), time.process_time()
    model = train(training, arguments.steps)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    weights = out / "model.safetensors"
    safetensors.torch.save_file(tensors(model), weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    write_json(out / "config.json", config())
    write_json(
        out / "generation_config.json",
        {
            "decoder_start_token_id": START,
            "eos_token_id": STOP,
            "pad_token_id": PAD,
            "max_new_tokens": MOST_OUTPUT,
        },
    )
    make_tokenizer().save(str(out / "tokenizer.json"))

    rows = evaluate(model, held_back)
    by_format = {form: [row for row in rows if row["format"] == form] for form in FORMATS}
    saved = [row for tested in by_format.values() for row in tested[:SAVED_PER_FORMAT]]
    (out / "held-back.jsonl").write_text("".join(json.dumps(row) + "\n" for row in saved))
    write_json(
        out / "training.json",
        {
            "steps": arguments.steps,
            "examples": arguments.steps * BATCH,
            "seconds": round(wall),
            "processor seconds": round(cpu),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "dates": {"training": len(training), "held back": len(held_back)},
            "tested": len(rows),
            "accuracy": accuracy(rows),
            "accuracy by format": {form: accuracy(tested) for form, tested in by_format.items()},
            "versions": versions(),
        },
    )
    print((out / "training.json").read_text())


if __name__ == "__main__":
    main()
