"""Tiny random models with heads and tokenizers, and what the pipelines of transformers and the CrossEncoder of
sentence-transformers make of texts: in float64, and how far float32 is from it."""

import json

import torch
from sentence_transformers import CrossEncoder
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForTokenClassification,
    T5Config,
    T5ForConditionalGeneration,
    pipeline,
)

from oracle import text
from oracle.common import fresh_folder, randomize

WIDTH = 24
TEXTS = [*text.TEXTS, "The Brücke, the 😀 river & they've 10 boats", "Ёжик 😀😀 naïve 🇫🇷 flags."]
PAIRS = [
    ("The quiet river.", "the boats wait"),
    ("It isn't far", "😀 naïve café"),
    ("a", "The quiet river runs near the old bridge, and the boats wait. " * 3),
    ("the old bridge, and the boats wait. " * 3, "river " * 20),
]
GAPS = [
    "The <mask> river.",
    "<mask> 😀 the bridge",
    "they've said <mask> isn't <mask>, 今天",
]
ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]


def sizes(tokenizer, **more):
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "max_position_embeddings": 70,
        "pad_token_id": 0,
        **more,
    }


def labels(names, **more):
    return {"id2label": dict(enumerate(names)), "label2id": {n: i for i, n in enumerate(names)}, **more}


def save(folder, model, tokenizer, seed, std=0.35):
    randomize(model, seed, std)
    model.eval().save_pretrained(folder)
    tokenizer.model_max_length = 64
    tokenizer.save_pretrained(folder)


def numbers(value):
    """Every float of nested results, in order."""
    if isinstance(value, dict):
        return [n for item in value.values() for n in numbers(item)]
    if isinstance(value, (list, tuple)):
        return [n for item in value for n in numbers(item)]
    return [float(value)] if isinstance(value, float) or hasattr(value, "dtype") else []


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.item() if hasattr(value, "dtype") else value


def without_numbers(value):
    if isinstance(value, dict):
        return {key: without_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_numbers(item) for item in value]
    return None if isinstance(value, float) else value


def golden(folder, run):
    """`run(dtype)` in both types: the same but for rounding, which gives the tolerance."""
    exact, single = plain(run(torch.float64)), plain(run(torch.float32))
    assert without_numbers(exact) == without_numbers(single), folder
    distance = max(abs(a - b) for a, b in zip(numbers(exact), numbers(single)))
    largest = max(map(abs, numbers(exact)))
    tolerance = 2 * distance + 4 * 2.0**-23 * largest
    value = {"tolerance": tolerance, **exact}
    (folder / "golden.json").write_text(json.dumps(value, ensure_ascii=False) + "\n")
    print("tasks", folder.name, f"torch f32 from f64: {distance:.1e}")


def piped(task, folder, dtype, **options):
    return pipeline(task, str(folder), dtype=dtype, device="cpu", **options)


def masked(folder, seed, model_class, config_class, kind, **more):
    tokenizer = text.build(kind)
    save(folder, model_class(config_class(**sizes(tokenizer, **more))), tokenizer, seed)

    def run(dtype):
        fill = piped("fill-mask", folder, dtype)
        cases = []
        for each in GAPS:
            found = fill(each, top_k=4)
            cases.append({"text": each, "fills": [found] if isinstance(found[0], dict) else found})
        return {"cases": cases}

    golden(folder, run)


def sequence(folder, seed, names, **more):
    # With segment types; the other folders' tokenizers give none.
    tokenizer = text.build("wordpiece", inputs=["input_ids", "token_type_ids", "attention_mask"])
    config = BertConfig(**sizes(tokenizer, **labels(names, **more)))
    save(folder, BertForSequenceClassification(config), tokenizer, seed)

    def run(dtype):
        classify = piped("text-classification", folder, dtype)
        inputs = [{"text": each} for each in TEXTS]
        inputs += [{"text": a, "text_pair": b} for a, b in PAIRS]
        cut = {"truncation": "longest_first", "max_length": 64}
        return {
            "cases": [
                {**each, "labels": classify({**each}, top_k=None, **cut)} for each in inputs
            ]
        }

    golden(folder, run)


def tokens(folder, seed, model_class, config_class, kind):
    tokenizer = text.build(kind)
    config = config_class(**sizes(tokenizer, **labels(ENTITIES)))
    save(folder, model_class(config), tokenizer, seed)

    def run(dtype):
        cases = []
        for aggregation in ("none", "simple", "first", "average", "max"):
            for ignored in (["O"], []):
                classify = piped(
                    "token-classification", folder, dtype,
                    aggregation_strategy=aggregation, ignore_labels=ignored,
                )
                cases += [
                    {
                        "text": each, "aggregation": aggregation, "ignored": ignored,
                        "entities": classify(each),
                    }
                    for each in TEXTS
                    if each
                ]
        return {"cases": cases}

    golden(folder, run)


def cross(folder, seed, count, **more):
    tokenizer = text.build("wordpiece")
    config = BertConfig(**sizes(tokenizer, num_labels=count, **more))
    save(folder, BertForSequenceClassification(config), tokenizer, seed)

    def run(dtype):
        model = CrossEncoder(str(folder), device="cpu", model_kwargs={"dtype": dtype})
        scores = [model.predict([pair])[0].tolist() for pair in PAIRS]
        documents = [b for _, b in PAIRS] + TEXTS[1:5]
        ranked = model.rank("the river", documents) if count == 1 else []
        ranked = [{"index": r["corpus_id"], "score": float(r["score"])} for r in ranked]
        return {"pairs": PAIRS, "scores": scores, "documents": documents, "ranked": ranked}

    golden(folder, run)



def generations(model_class, folder, tokenizer, prompts, dtype):
    """Greedy and with beams: the new tokens, and their text as transformers' pipelines cut it out."""
    model = model_class.from_pretrained(folder, dtype=dtype).eval()
    cases = []
    for beams in (1, 3):
        for prompt in prompts:
            ids = torch.tensor([tokenizer(prompt)["input_ids"]])
            out = model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, num_beams=beams,
                do_sample=False, pad_token_id=0,
            )[0]
            start = out[:1] if model.config.is_encoder_decoder else ids[0]
            before = tokenizer.decode(start, skip_special_tokens=True)
            whole = tokenizer.decode(out, skip_special_tokens=True)
            cases.append(
                {
                    "prompt": prompt, "beams": beams, "tokens": out[len(start) :].tolist(),
                    "text": whole[len(before) :],
                }
            )
    return {"cases": cases, "scale": 1.0}


def telling(cases, end):
    """Whether sequences end early and late, differ, and are mostly text."""
    ends = {case["tokens"][-1] == end for case in cases}
    distinct = {token for case in cases for token in case["tokens"]}
    texts = [case["text"] for case in cases if case["text"] and "\ufffd" not in case["text"]]
    return len(ends) == 2 and len(distinct) > 25 and len(texts) > len(cases) / 2


def generating(folder, seed, model, tokenizer, prompts):
    end = tokenizer.eos_token_id
    for attempt in range(200):
        save(folder, model, tokenizer, seed + 100 * attempt)
        run = lambda dtype: generations(type(model), folder, tokenizer, prompts, dtype)
        single = run(torch.float32)
        if telling(single["cases"], end) and single == run(torch.float64):
            return golden(folder, run)
    raise RuntimeError(f"{folder}: no seed generates anything telling")


def causal(folder, seed):
    tokenizer = text.build("byte-bpe")
    config = GPT2Config(
        vocab_size=len(tokenizer), n_embd=WIDTH, n_layer=2, n_head=3, n_positions=60,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    prompts = [each for each in TEXTS if each and len(tokenizer(each)["input_ids"]) < 36]
    generating(folder, seed, GPT2LMHeadModel(config), tokenizer, prompts)


def seq2seq(folder, seed):
    tokenizer = text.build("unigram", clean=True)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=WIDTH, d_kv=8, num_heads=3, d_ff=40, num_layers=2,
        decoder_start_token_id=0, eos_token_id=tokenizer.eos_token_id, pad_token_id=0,
        tie_word_embeddings=False,
    )
    generating(folder, seed, T5ForConditionalGeneration(config), tokenizer, TEXTS)


IDENTITY = {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}
CASES = {
    "masked-bert": lambda f: masked(f, 1, BertForMaskedLM, BertConfig, "wordpiece"),
    "masked-roberta": lambda f: masked(f, 2, RobertaForMaskedLM, RobertaConfig, "byte-bpe"),
    "sequence-one-of-three": lambda f: sequence(f, 3, ["no", "maybe", "yes"]),
    "sequence-several": lambda f: sequence(
        f, 4, ["a", "b", "c"], problem_type="multi_label_classification"
    ),
    "sequence-one": lambda f: sequence(f, 5, ["toxic"]),
    "sequence-regression": lambda f: sequence(f, 6, ["stars"], problem_type="regression"),
    "tokens-bert": lambda f: tokens(f, 7, BertForTokenClassification, BertConfig, "wordpiece"),
    "tokens-roberta": lambda f: tokens(
        f, 8, RobertaForTokenClassification, RobertaConfig, "byte-bpe"
    ),
    "cross-one": lambda f: cross(f, 9, 1),
    "cross-identity": lambda f: cross(f, 10, 1, **IDENTITY),
    "cross-three": lambda f: cross(f, 11, 3),
    "causal": lambda f: causal(f, 12),
    "seq2seq": lambda f: seq2seq(f, 13),
}


def make(out):
    fresh_folder(out)
    for name, make_case in CASES.items():
        make_case(fresh_folder(out / name))
