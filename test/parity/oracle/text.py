"""Tokenizers of every kind, trained on a few lines, with what Python makes of texts and of tokens: pairs with types and
places, truncation, decoding with and without special tokens."""

import json
import random

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from oracle.common import fresh_folder

LINES = [
    "The quiet river runs near the old bridge, and the boats wait.",
    "It isn't far; they've said we're welcome. Isn't it odd?",
    "Der Fluß fließt langsam, während über der Brücke Möwen kreisen.",
    "Ёжик в тумане шёл к реке.",
    "今天天气很好，我们去河边。川のそばで待つ。",
    "emoji 😀👩‍👩‍👧 and 🇫🇷 flags, naïve café",
    "1 2 3 10 200 3000 + - = ( ) [ ] { } ' \" . , ! ?",
]
TEXTS = [
    "",
    "The quiet river.",
    "they've   said  it isn't",
    "😀 the river 👩‍👩‍👧 runs 🇫🇷!",
    "今天 the bridge 川のそば",
    "unseen: ꙮ ☃ \u0301",
    " leading and trailing ",
    "Ёжик шёл, Möwen kreisen. ' quoted ' it 's",
]
SPECIALS = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]


def wordpiece():
    core = Tokenizer(models.WordPiece(unk_token="<unk>"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return core, trainers.WordPieceTrainer(vocab_size=260, special_tokens=SPECIALS)


def byte_bpe():
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return core, trainers.BpeTrainer(
        vocab_size=340, special_tokens=SPECIALS, initial_alphabet=alphabet
    )


def byte_fallback():
    core = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    core.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    byte_tokens = [f"<0x{i:02X}>" for i in range(256)]
    return core, trainers.BpeTrainer(
        vocab_size=420, special_tokens=SPECIALS + byte_tokens, limit_alphabet=40
    )


def unigram():
    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.NFKC()
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    return core, trainers.UnigramTrainer(
        vocab_size=260, special_tokens=SPECIALS, unk_token="<unk>"
    )


KINDS = {
    "wordpiece": (wordpiece, True),
    "byte-bpe": (byte_bpe, False),
    "byte-fallback": (byte_fallback, False),
    "unigram": (unigram, True),
}


def build(kind, clean=False, inputs=None):
    make, _ = KINDS[kind]
    core, trainer = make()
    core.train_from_iterator(LINES * 3, trainer)
    begin, end = core.token_to_id("<s>"), core.token_to_id("</s>")
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", begin), ("</s>", end)],
    )
    if kind == "byte-fallback":
        # Trained as special tokens so that all are there; but their text counts.
        state = json.loads(core.to_str())
        state["added_tokens"] = [t for t in state["added_tokens"] if t["content"] in SPECIALS]
        core = Tokenizer.from_str(json.dumps(state))
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token=AddedToken("<mask>", lstrip=True),
        clean_up_tokenization_spaces=clean,
        **({"model_input_names": inputs} if inputs else {}),
    )


def encoded(tokenizer, text, pair, **options):
    out = tokenizer(
        text, pair, return_offsets_mapping=True, return_token_type_ids=True,
        return_special_tokens_mask=True, **options,
    )
    return {
        "text": text,
        **({"pair": pair} if pair is not None else {}),
        **options,
        "ids": out["input_ids"],
        "types": out["token_type_ids"],
        "offsets": [list(place) for place in out["offset_mapping"]],
        "sequence": out.encodings[0].sequence_ids,
    }


def make(out):
    fresh_folder(out)
    for kind, (_, clean) in KINDS.items():
        tokenizer = build(kind, clean)
        tokenizer.save_pretrained(out / kind)
        singles = [encoded(tokenizer, text, None) for text in TEXTS]
        pairs = [encoded(tokenizer, a, b) for a, b in zip(TEXTS, reversed(TEXTS)) if b]
        cut = [
            encoded(tokenizer, a, b, truncation=True, max_length=length)
            for a, b in ((TEXTS[3], TEXTS[7]), (TEXTS[7], TEXTS[1]), (TEXTS[1], TEXTS[1]), (TEXTS[3], None))
            for length in (4, 7, 10, 11, 16)
        ]
        chooser = random.Random(5)
        sequences = [case["ids"] for case in singles + pairs]
        sequences += [
            [chooser.randrange(len(tokenizer)) for _ in range(40)] for _ in range(12)
        ]
        decoded = [
            {
                "ids": ids,
                "skip": tokenizer.decode(ids, skip_special_tokens=True),
                "keep": tokenizer.decode(ids, skip_special_tokens=False),
            }
            for ids in sequences
        ]
        golden = {"encoded": singles + pairs + cut, "decoded": decoded}
        (out / kind / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")
        print("tokenizers", kind, len(tokenizer), "tokens")
