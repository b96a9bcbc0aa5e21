"""Greedy and beam search of a random model, and the proof that rounding does not decide them."""

import numpy
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from oracle.common import offsets_of
from oracle.exact import float32_means_float64

GREEDY_TOKENS = 64
BEAM_TOKENS = 24
BEAMS = 3
# Logits may stray this many times the tolerance without another token being chosen.
SAFETY = 8


class Noise(LogitsProcessor):
    def __init__(self, amplitude, seed):
        self.amplitude = amplitude
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, input_ids, scores):
        noise = torch.rand(scores.shape, generator=self.generator, dtype=scores.dtype) * 2 - 1
        return scores + self.amplitude * noise


def generate(model, tokens, count, beams, noise=None):
    """The new tokens, an end token included; and of a greedy search the logits."""
    ids = torch.tensor([tokens])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=count,
        num_beams=beams,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        logits_processor=LogitsProcessorList([noise] if noise else []),
    )
    skipped = 1 if model.config.is_encoder_decoder else len(tokens)
    return output.sequences[0, skipped:].tolist(), output.logits


def margin(logits):
    best = torch.stack(logits)[:, 0].topk(2).values
    return float((best[:, 0] - best[:, 1]).min())


def search(exact, single, prompts, tolerance, case):
    """Arrays and notes; None and the reason where rounding might decide."""
    # The cheap refusals first.
    drafts = [generate(single, prompt, GREEDY_TOKENS, 1)[0] for prompt in prompts]
    ended = [len(tokens) < GREEDY_TOKENS for tokens in drafts]
    if case.ends != any(ended):
        return None, "a sequence ends" if any(ended) else "no sequence ends"
    if max(len(set(tokens)) for tokens in drafts) < case.distinct:
        return None, "monotonous sequences"
    greedy, beams, margins = [], [], []
    for prompt, draft in zip(prompts, drafts):
        with float32_means_float64():
            found, logits = generate(exact, prompt, GREEDY_TOKENS, 1)
            beam, _ = generate(exact, prompt, BEAM_TOKENS, BEAMS)
        margins.append(margin(logits))
        greedy.append(found)
        beams.append(beam)
        if found != draft or margins[-1] < SAFETY * tolerance:
            return None, f"margin {margins[-1]}, tolerance {tolerance}"
        for seed in range(2):
            noise = Noise(SAFETY * tolerance, seed)
            if generate(single, prompt, BEAM_TOKENS, BEAMS, noise)[0] != beam:
                return None, "noise changes a beam"
    if all(beam == tokens[: len(beam)] for beam, tokens in zip(beams, greedy)):
        return None, "every beam search is greedy"
    arrays = {
        "greedy": numpy.concatenate(greedy).astype(numpy.int32),
        "greedy_offsets": offsets_of(greedy),
        "beam": numpy.concatenate(beams).astype(numpy.int32),
        "beam_offsets": offsets_of(beams),
    }
    return arrays, {
        "greedyMargin": min(margins),
        "logitsTolerance": float(tolerance),
        "beams": BEAMS,
        "greedyTokens": GREEDY_TOKENS,
        "beamTokens": BEAM_TOKENS,
    }
