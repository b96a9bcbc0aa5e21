"""sentence-transformers folders around one tiny BERT: every pooling, Dense, Normalize, lower case,
truncation and default prompt, with the vectors of SentenceTransformer.encode, one text at a time."""

import json

import numpy
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    ElectraConfig,
    ElectraModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3Model,
    RobertaConfig,
    RobertaModel,
)

from oracle.common import (
    fresh_folder,
    max_abs,
    offsets_of,
    randomize,
    write_arrays,
    write_json,
)
from oracle.exact import float32_means_float64, make_exact

WIDTH = 18
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyzéßi̇"
WORDS = ["the", "river", "quiet", "##ly", "boat", "##s", "near", "query", "bridge", "İ", "É", "A"]

TEXTS = [
    "",
    "a",
    "The quiet river.",
    "the quiet river.",
    "Boats near the BRIDGE, quietly!",
    "unknown 漢字 and 😀",
    "[MASK] the [SEP] river",
    "  spaces   around  ",
    "École É é e\u0301 İstanbul ß Straße",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "nul\u0000inside",
    "the river near the bridge " * 9,
]

ALL_MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")


def tokenizer(lowercase: bool, maximum: int):
    vocabulary = {}
    marks = list("0123456789.,!?'-:")
    capitals = [] if lowercase else [c.upper() for c in LETTERS if len(c.upper()) == 1]
    pieces = list(LETTERS) + ["##" + c for c in LETTERS] + capitals + marks + WORDS
    for token in SPECIALS + pieces:
        vocabulary.setdefault(token, len(vocabulary))
    core = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, vocabulary[t]) for t in ("[CLS]", "[SEP]")],
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIALS))
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=maximum, **names)


def small(vocabulary):
    return dict(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=30,
        max_position_embeddings=40,
    )


def bert(vocabulary):
    return BertModel(BertConfig(**small(vocabulary)), add_pooling_layer=False)


def electra(vocabulary):
    return ElectraModel(ElectraConfig(**small(vocabulary), embedding_size=10))


def roberta(vocabulary):
    # Python gives a padding among the tokens no position of its own; [PAD] is 0 and in no text.
    config = RobertaConfig(**small(vocabulary), pad_token_id=0)
    return RobertaModel(config, add_pooling_layer=False)


def qwen3(vocabulary):
    none = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    return Qwen3Model(Qwen3Config(**small(vocabulary), num_key_value_heads=1, head_dim=8, **none))


def base_folder(folder, seed, lowercase=True, maximum=32, make_model=bert):
    """config.json, model.safetensors (f16) and the tokenizer's files."""
    tokens = tokenizer(lowercase, maximum)
    model = make_model(len(tokens))
    randomize(model, seed, 0.4)
    model.half().save_pretrained(folder)
    tokens.save_pretrained(folder)
    return str(folder)


def pooling(mode, **options):
    return [Pooling(WIDTH, pooling_mode=mode, **options)]


def dense(seed, columns, rows, activation, bias=True):
    module = Dense(columns, rows, bias=bias, activation_function=activation)
    randomize(module, seed, 0.4)
    return module


CASES = {
    **{mode.replace("_", "-"): {"modules": pooling(mode)} for mode in ALL_MODES},
    "all-modes": {"modules": pooling(ALL_MODES)},
    "lasttoken-cls-mean": {"modules": pooling(("lasttoken", "cls", "mean"))},
    "mean-max-normalize": {"modules": [*pooling(("mean", "max")), Normalize()]},
    "cls-normalize": {"modules": [*pooling("cls"), Normalize()]},
    "dense-tanh": {"modules": [*pooling("mean"), dense(71, WIDTH, 7, torch.nn.Tanh())]},
    "dense-identity-no-bias-normalize": {
        "modules": [
            *pooling(("cls", "max")),
            dense(72, 2 * WIDTH, 20, torch.nn.Identity(), bias=False),
            Normalize(),
        ]
    },
    "dense-dense": {
        "modules": [
            *pooling("mean"),
            dense(73, WIDTH, 33, torch.nn.Tanh(), bias=False),
            dense(74, 33, 5, torch.nn.Identity()),
        ]
    },
    "lower-case": {"modules": pooling("mean"), "lowercase": False, "lower_in_transformer": True},
    "cased": {"modules": pooling("mean"), "lowercase": False},
    "maximum-9": {"modules": pooling("mean"), "maximum": 9},
    "maximum-of-positions": {"modules": pooling("lasttoken"), "maximum": None},
    "prompt": {
        "modules": pooling("mean"),
        "prompts": {"prompts": {"search": "Query: ", "none": ""}, "default_prompt_name": "search"},
    },
    "prompt-excluded": {
        "modules": pooling(("mean", "cls", "weightedmean"), include_prompt=False),
        "prompts": {"prompts": {"search": "query: "}, "default_prompt_name": "search"},
    },
    # Other families: one whose embedding has a width of its own, and a decoder, which the last token sums up.
    "electra-mean": {"modules": pooling("mean"), "base": electra},
    "roberta-mean-normalize": {"modules": [*pooling("mean"), Normalize()], "base": roberta},
    "qwen3-lasttoken-normalize": {"modules": [*pooling("lasttoken"), Normalize()], "base": qwen3},
}

# Older releases wrote these; both spellings must load. Rewritten by hand, then checked against the
# library's own reading of the folder.
LEGACY = ("cls", "mean", "all-modes", "lower-case", "maximum-9", "dense-tanh")
LEGACY_MODES = {
    "cls": "pooling_mode_cls_token",
    "mean": "pooling_mode_mean_tokens",
    "max": "pooling_mode_max_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
LEGACY_TYPES = {
    "Transformer": "sentence_transformers.models.Transformer",
    "Pooling": "sentence_transformers.models.Pooling",
    "Dense": "sentence_transformers.models.Dense",
    "Normalize": "sentence_transformers.models.Normalize",
}


def rewrite_as_legacy(folder, maximum, lower, tokenizer_json):
    # The library bakes do_lower_case into the tokenizer that it saves; an older folder keeps the two apart.
    (folder / "tokenizer.json").write_text(tokenizer_json)
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = LEGACY_TYPES[module["type"].split(".")[-1]]
    write_json(folder / "modules.json", modules)
    write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": maximum, "do_lower_case": lower}
    )
    path = folder / "1_Pooling" / "config.json"
    config = json.loads(path.read_text())
    modes = config["pooling_mode"]
    modes = [modes] if isinstance(modes, str) else modes
    write_json(
        path,
        {
            "word_embedding_dimension": config["embedding_dimension"],
            **{key: mode in modes for mode, key in LEGACY_MODES.items()},
            "include_prompt": config["include_prompt"],
        },
    )


def encode(model):
    return numpy.stack([model.encode([text], batch_size=1)[0] for text in TEXTS])


def load(folder):
    return SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": torch.float32})


def make_case(folder, seed, case):
    torch.manual_seed(seed)  # the library adds a random pooler, which nothing reads
    maximum = case.get("maximum", 32)
    lower = case.get("lower_in_transformer", False)
    base = base_folder(
        folder, seed, case.get("lowercase", True), maximum, case.get("base", bert)
    )
    tokenizer_json = (folder / "tokenizer.json").read_text()
    transformer = Transformer(base, max_seq_length=maximum, do_lower_case=lower)
    model = SentenceTransformer(
        modules=[transformer, *case["modules"]], device="cpu", **case.get("prompts", {})
    )
    fresh_folder(folder)
    model.save_pretrained(str(folder), create_model_card=False)
    if folder.name in LEGACY:
        rewrite_as_legacy(folder, maximum, lower, tokenizer_json)
    if maximum is None:
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text())
        del config["model_max_length"]
        write_json(path, config)


def make(out, only=None):
    if only is None:
        fresh_folder(out)
    write_json(out / "texts.json", TEXTS)
    for seed, (name, case) in enumerate(CASES.items(), start=101):
        if only and not name.startswith(only):
            continue
        folder = out / name
        make_case(fresh_folder(folder), seed, case)
        model = load(folder)
        single = encode(model)
        double = load(folder).to(torch.float64)
        make_exact(double)
        with float32_means_float64():
            exact = encode(double)
        assert single.dtype == numpy.float32 and exact.dtype == numpy.float64
        prompt = case.get("prompts", {}).get("prompts", {}).get("search", "")
        ids = [model.preprocess([t], prompt=prompt)["input_ids"][0].tolist() for t in TEXTS]
        write_arrays(
            folder / "golden.safetensors",
            {
                "tokens": numpy.concatenate(ids).astype(numpy.int32),
                "offsets": offsets_of(ids),
                "vectors_f64": exact,
                "torch_f32_max_abs": numpy.array([max_abs(single, exact)]),
            },
        )
        print("sentence", name, exact.shape, "torch f32 from f64:", max_abs(single, exact))
