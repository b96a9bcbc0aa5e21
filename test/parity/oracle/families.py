"""Tiny random models of every family, as transformers' save_pretrained writes them: hidden states after each
layer, heads, greedy and beam search, one sequence at a time, in float64; and how far float32 is from it."""

import json

import numpy
import safetensors.torch
import torch

from oracle.common import (
    fresh_folder,
    max_abs,
    offsets_of,
    randomize,
    versions,
    write_arrays,
    write_json,
)
from oracle.exact import float32_means_float64, make_exact
from oracle.family_cases import CASES
from oracle.generation import search

# The layers of each family's base model.
LAYERS = {
    "bert": "encoder.layer",
    "roberta": "encoder.layer",
    "xlm-roberta": "encoder.layer",
    "electra": "encoder.layer",
    "mpnet": "encoder.layer",
    "distilbert": "transformer.layer",
    "modernbert": "layers",
    "gpt2": "h",
    "bloom": "h",
    "llama": "layers",
    "mistral": "layers",
    "qwen2": "layers",
    "qwen3": "layers",
}
STACK_LAYERS = {"t5": "block", "marian": "layers"}


class Recorder:
    """Streams before the first and after each of some layers."""

    def __init__(self, layers, embeddings=None):
        self.states = []
        first = embeddings or layers[0]
        keep = lambda value: self.states.append((value[0] if isinstance(value, tuple) else value)[0])
        if embeddings is None:
            first.register_forward_pre_hook(
                lambda module, args, kwargs: keep(args[0] if args else kwargs["hidden_states"]),
                with_kwargs=True,
            )
        else:
            first.register_forward_hook(lambda module, args, output: keep(output))
        for layer in layers:
            layer.register_forward_hook(lambda module, args, output: keep(output))

    def take(self):
        states, self.states = self.states, []
        return states


def base_of(model):
    return getattr(model, model.base_model_prefix, model) if model.base_model_prefix else model


def recorders(model):
    base = base_of(model)
    kind = model.config.model_type
    if kind in STACK_LAYERS:
        sides = ["encoder"] + (["decoder"] if hasattr(base, "decoder") else [])
        return {side: Recorder(getattr(getattr(base, side), STACK_LAYERS[kind])) for side in sides}
    layers = base.get_submodule(LAYERS[kind])
    return {"encoder": Recorder(layers, base.embeddings if kind == "electra" else None)}


def run(model, case, inputs):
    """Every array of one dtype: lists of each sequence's rows, joined."""
    watch = recorders(model)
    parts = {}

    def add(name, value):
        parts.setdefault(name, []).append(value.numpy())

    for i, tokens in enumerate(inputs["tokens"]):
        arguments = {"input_ids": torch.tensor([tokens])}
        if "types" in inputs:
            arguments["token_type_ids"] = torch.tensor([inputs["types"][i]])
        if "decoder_tokens" in inputs:
            arguments["decoder_input_ids"] = torch.tensor([inputs["decoder_tokens"][i]])
        hidden = {}
        base = base_of(model)
        hooks = [
            stack.register_forward_hook(
                lambda module, args, output, side=side: hidden.update({side: output[0][0]})
            )
            for side, stack in (
                {side: getattr(base, side) for side in watch}
                if case.family in STACK_LAYERS
                else {"encoder": base}
            ).items()
        ]
        output = model(**arguments)
        for hook in hooks:
            hook.remove()
        for side, recorder in watch.items():
            prefix = "decoder." if side == "decoder" else ""
            for layer, state in enumerate(recorder.take()):
                add(f"{prefix}layer.{layer}", state)
            add(f"{prefix}hidden", hidden[side])
        if case.head is not None:
            add(case.head, output.logits[0] if case.head != "sequence" else output.logits)
    return {name: numpy.concatenate(values) for name, values in parts.items()}


def edit_config(folder, case):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in case.config_without:
        config.pop(key, None)
    config.update(case.config_with)
    write_json(path, config)


def edit_tensors(folder, case):
    """Other names and more tensors, as checkpoints on the hub have them."""
    if case.rename is None and not case.extras:
        return
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    if case.rename is not None:
        tensors = {case.rename(name): tensor for name, tensor in tensors.items()}
    tensors.update(case.extras)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})


def inputs_of(case, config, seed):
    random = numpy.random.default_rng(seed)
    lowest = case.first_token
    vocabulary = config.vocab_size
    ids = lambda count, most: random.integers(lowest, most, count).tolist()
    inputs = {"tokens": [ids(length, vocabulary) for length in case.lengths]}
    if case.types:
        inputs["types"] = [random.integers(0, case.types, n).tolist() for n in case.lengths]
    if config.is_encoder_decoder and case.head is not None:
        most = getattr(config, "decoder_vocab_size", vocabulary)
        lengths = case.decoder_lengths[: len(case.lengths)]
        inputs["decoder_tokens"] = [
            [config.decoder_start_token_id, *ids(length - 1, most)] for length in lengths
        ]
    return inputs


def load(folder, case, dtype):
    model = case.load_class or case.model
    return model.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


def make_case(folder, name, case, seed):
    torch.manual_seed(seed)
    model = case.model(case.config())
    randomize(model, seed, case.std, case.stds)
    for buffer in case.random_buffers:
        value = model.get_buffer(buffer)
        generator = torch.Generator().manual_seed(seed)
        value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
    model.to(case.dtype).save_pretrained(folder)
    edit_config(folder, case)
    edit_tensors(folder, case)

    exact = make_exact(load(folder, case, torch.float64))
    single = load(folder, case, torch.float32)
    inputs = inputs_of(case, exact.config, seed)
    with float32_means_float64():
        reference = run(exact, case, inputs)
    naive = run(single, case, inputs)
    assert all(value.dtype == numpy.float64 for value in reference.values())
    assert all(value.dtype == numpy.float32 for value in naive.values())

    arrays = {}
    for kind, sequences in inputs.items():
        arrays[kind] = numpy.concatenate(sequences).astype(numpy.int32)
    arrays["offsets"] = offsets_of(inputs["tokens"])
    if "decoder_tokens" in inputs:
        arrays["decoder_offsets"] = offsets_of(inputs["decoder_tokens"])
    distances = {}
    for key, value in reference.items():
        arrays[key] = value
        distances[key] = max_abs(naive[key], value)
        if distances[key] > 2e-5 * max(1, numpy.abs(value).max()):
            return f"{key}: float32 is {distances[key]} from float64"
        arrays[f"{key}.torch_f32_max_abs"] = numpy.array([distances[key]])
    notes = {"seed": seed, "family": case.family, "class": case.model.__name__}
    if case.generates:
        tolerance = 2 * distances["language"] + 4 * 2.0**-23 * numpy.abs(reference["language"]).max()
        found, margins = search(exact, single, inputs["tokens"], tolerance, case)
        if found is None:
            return margins
        arrays.update(found)
        notes.update(margins)
    write_arrays(folder / "golden.safetensors", arrays)
    write_json(folder / "golden.json", notes)
    worst = max(distances.values())
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(name, f"{size / 1e3:.0f} kB, torch f32 from f64: {worst:.1e}", notes, flush=True)
    return None


def make(out, only=None):
    write_json(out / "versions.json", versions())
    for name, case in CASES.items():
        if only and not name.startswith(only):
            continue
        folder = fresh_folder(out / name)
        # A seed whose searches are decided by more than rounding.
        for attempt in range(60):
            seed = 1000 + 100 * list(CASES).index(name) + attempt
            refused = make_case(fresh_folder(folder), name, case, seed)
            if refused is None:
                break
            print(name, seed, "refused:", refused, flush=True)
        else:
            raise RuntimeError(f"{name}: no seed is decided by more than rounding")
