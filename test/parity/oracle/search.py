"""Searches of transformers over a model that is a table: what beams, rules and limits do to its tokens, without a
network. The logits after a sequence are last[its last token] + before[the one before it]."""

import json

import torch
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from oracle.common import fresh_folder, write_json

VOCABULARY = 23
NOTHING = VOCABULARY  # the row of `before` for a sequence of one token


class TableConfig(PretrainedConfig):
    model_type = "table"


class TableModel(PreTrainedModel, GenerationMixin):
    config_class = TableConfig
    main_input_name = "input_ids"

    def __init__(self, config, last, before):
        super().__init__(config)
        self.last = torch.nn.Parameter(last)
        self.before = torch.nn.Parameter(before)

    def forward(self, input_ids, **_):
        shifted = torch.nn.functional.pad(input_ids, (1, 0), value=NOTHING)[:, :-1]
        return CausalLMOutput(logits=self.last[input_ids] + self.before[shifted])

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    def _supports_default_dynamic_cache(self):
        return False


def table(seed, rows, spread):
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(rows, VOCABULARY, generator=generator) * spread).float()


# Keys are generation_config.json's; max_new_tokens is the call's.
CASES = {
    "greedy": [{}, {"eos_token_id": 3}, {"eos_token_id": [3, 5, 8]}],
    "rules": [
        {"bad_words_ids": [[4], [7], [3]], "eos_token_id": 3},
        {"bad_words_ids": [[4, 6], [1, 2, 9], [11, 11], [10]]},
        {"no_repeat_ngram_size": 1, "max_new_tokens": 9},
        {"no_repeat_ngram_size": 2},
        {"no_repeat_ngram_size": 3, "eos_token_id": 3},
        {"min_length": 9, "eos_token_id": [3, 5, 8]},
        {"min_new_tokens": 6, "eos_token_id": [3, 5]},
        {"suppress_tokens": [1, 2, 3, 4]},
        {"begin_suppress_tokens": list(range(12))},
        {"forced_bos_token_id": 13},
        {"forced_bos_token_id": 13, "begin_suppress_tokens": list(range(12))},
        {"forced_eos_token_id": 3, "eos_token_id": 3},
        {"forced_bos_token_id": 13, "forced_eos_token_id": 3, "min_length": 4, "eos_token_id": 3},
    ],
    "beams": [
        {"length_penalty": 1.0},
        {"length_penalty": 1.0, "early_stopping": True},
        {"length_penalty": 1.0, "early_stopping": "never"},
        {"length_penalty": 0.0},
        {"length_penalty": 2.0, "early_stopping": "never"},
        {"length_penalty": 2.0, "early_stopping": True},
        {"length_penalty": -1.0},
    ],
}
PROMPTS = [[2], [9, 14], [1, 20, 1, 20, 7], [6, 6, 6]]


def settings():
    for case in CASES["greedy"] + CASES["rules"]:
        for beams in (1, 3):
            yield {"num_beams": beams, "max_new_tokens": 12, **case}
    for case in CASES["beams"]:
        for eos in (3, [3, 5], [3, 5, 8]):
            for beams, length in ((2, 15), (4, 15), (5, 3)):
                yield {"num_beams": beams, "max_new_tokens": length, "eos_token_id": eos, **case}


def run(model, prompt, case):
    config = GenerationConfig(
        do_sample=False, pad_token_id=0, use_cache=False, return_dict_in_generate=True,
        output_scores=True, **case,
    )
    output = model.generate(torch.tensor([prompt]), generation_config=config)
    tokens = output.sequences[0].tolist()[len(prompt):]
    eos = case.get("eos_token_id", [])
    eos = [eos] if isinstance(eos, int) else eos
    ends = [i for i, token in enumerate(tokens) if token in eos]
    tokens = tokens[: ends[0] + 1] if ends else tokens
    scores = {"score": output.sequences_scores[0].item()} if case["num_beams"] > 1 else {}
    return {"tokens": tokens, **scores}


def make(out):
    fresh_folder(out)
    searches = []
    for seed, spread in ((1, 1.0), (2, 2.0)):
        last, before = table(seed, VOCABULARY, spread), table(seed + 50, VOCABULARY + 1, spread)
        # Ends of text are likely enough that searches end early and late.
        last[:, [3, 5, 8]] += spread
        model = TableModel(TableConfig(), last, before).eval()
        cases = [
            {"config": case, "prompt": prompt, **run(model, prompt, case)}
            for case in settings()
            for prompt in PROMPTS
        ]
        searches.append({"last": last.tolist(), "before": before.tolist(), "cases": cases})
        print("search", seed, len(cases), "cases")
    # One line: it is data.
    (out / "golden.json").write_text(json.dumps(searches, separators=(",", ":")) + "\n")
