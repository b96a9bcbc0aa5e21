"""Hidden states and logits of the trained example (examples/dates) in float64, one sequence at a time, from its
own PyTorch model; and how far float32 is from them. The decoder reads the answer, as in training."""

import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file

from oracle.common import fresh_folder, max_abs, offsets_of, write_arrays, write_json

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "dates"
sys.path.insert(0, str(EXAMPLE))

TEXTS = [
    "Wednesday, the 23rd of September, 2099",
    "3.3.2021",
    "",  # only the token that ends it
    "DEC. 31 '69",
    "no date \u00fc at all",  # unknown characters too
]
ANSWERS = ["2099-09-23", "2021-03-03", "", "1969-12-31", "20"]


def states(model, source, target):
    """Encoder states [layers + 1, Ts, E], decoder states [layers + 1, Tt, E] and logits [Tt, V]."""
    everything = torch.ones(1, 1, 1, len(source), dtype=torch.bool)
    encoder = model.encoder_states(torch.tensor([source]), everything)
    decoder = model.decoder_states(torch.tensor([target]), encoder[-1], everything)
    logits = model.logits(decoder[-1])
    return torch.stack(encoder)[:, 0], torch.stack(decoder)[:, 0], logits[0]


def packed(model, sources, targets):
    parts = [states(model, source, target) for source, target in zip(sources, targets)]
    encoder, decoder, logits = zip(*parts)
    return {
        "encoder": torch.cat(encoder, dim=1).numpy(),
        "decoder": torch.cat(decoder, dim=1).numpy(),
        "logits": torch.cat(logits)[None].numpy(),
    }


def make(out):
    import train
    from model import Transformer

    weights = load_file(EXAMPLE / "model.safetensors")
    sources = [[train.VOCABULARY.get(c, 3) for c in text] + [train.STOP] for text in TEXTS]
    targets = [[train.START] + train.ids(answer)[:-1] for answer in ANSWERS]
    found = {}
    for dtype in (torch.float64, torch.float32):
        model = Transformer(train.SETTINGS).to(dtype)
        names = zip(model.state_dict(), train.tensors(model))
        model.load_state_dict({name: weights[saved].to(dtype) for name, saved in names})
        found[dtype] = packed(model.eval(), sources, targets)
    exact, single = found[torch.float64], found[torch.float32]
    arrays = {
        "source": numpy.concatenate(sources).astype(numpy.int32),
        "source_offsets": offsets_of(sources),
        "target": numpy.concatenate(targets).astype(numpy.int32),
        "target_offsets": offsets_of(targets),
    }
    for name, layers in exact.items():
        assert layers.dtype == numpy.float64 and single[name].dtype == numpy.float32
        arrays[f"{name}_f64"] = layers
        arrays[f"{name}_torch_f32_max_abs"] = numpy.array(
            [max_abs(s, e) for s, e in zip(single[name], layers)]
        )
    fresh_folder(out)
    write_arrays(out / "golden.safetensors", arrays)
    write_json(out / "golden.json", {"texts": TEXTS, "answers": ANSWERS})
    for name, layers in exact.items():
        print("dates", name, layers.shape, "torch f32 from f64:", max_abs(single[name], layers))
