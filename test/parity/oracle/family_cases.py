"""The cases of families.py: a config, a class and what its checkpoint is to look like."""

from dataclasses import dataclass, field
from typing import Any, Callable

import torch
import transformers as t


@dataclass
class Case:
    family: str
    model: Any
    config: Callable
    # 'language', 'sequence' or 'token': which head the class has.
    head: str | None = None
    dtype: torch.dtype = torch.float16
    std: float = 0.3
    # Of parameters with this in their name, or of "vector"s.
    stds: dict = field(default_factory=dict)
    lengths: list = field(default_factory=lambda: [5, 1, 18, 2])
    decoder_lengths: list = field(default_factory=lambda: [3, 7, 1, 12])
    types: int = 0
    # Ids below are special: a padding among the tokens would move positions.
    first_token: int = 3
    generates: bool = False
    # Whether the greedy search of some sequence is to meet the end token, or of none.
    ends: bool = False
    # Of the tokens that one greedy search chooses.
    distinct: int = 6
    random_buffers: tuple = ()
    # Edits of config.json and the tensors after save_pretrained.
    config_with: dict = field(default_factory=dict)
    config_without: tuple = ()
    rename: Callable | None = None
    extras: dict = field(default_factory=dict)
    # The class that reads the edited folder, where it is another one.
    load_class: Any = None


VOCABULARY = 53
LABELS = {"num_labels": 5}


def bert_like(config, **options):
    base = dict(
        vocab_size=VOCABULARY,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=32,
    )
    return lambda: config(**{**base, **options})


def distil(**options):
    base = dict(
        vocab_size=VOCABULARY, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=24
    )
    return lambda: t.DistilBertConfig(**{**base, **options})


def modern(**options):
    base = dict(
        vocab_size=VOCABULARY,
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=64,
        local_attention=8,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        cls_token_id=1,
        sep_token_id=2,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 400.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
        },
    )
    return lambda: t.ModernBertConfig(**{**base, **options})


NO_SPECIALS = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)


def decoder(config, **options):
    base = dict(
        vocab_size=VOCABULARY,
        hidden_size=24,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        max_position_embeddings=96,
        **NO_SPECIALS,
    )
    return lambda: config(**{**base, **options})


def rope(kind, theta=300.0, **options):
    return {"rope_type": kind, "rope_theta": theta, **options}


def gpt2(**options):
    base = dict(
        vocab_size=VOCABULARY, n_positions=96, n_embd=24, n_layer=3, n_head=3, **NO_SPECIALS
    )
    return lambda: t.GPT2Config(**{**base, **options})


def bloom(**options):
    base = dict(vocab_size=VOCABULARY, hidden_size=24, n_layer=3, n_head=3, **NO_SPECIALS)
    return lambda: t.BloomConfig(**{**base, **options})


def t5(**options):
    base = dict(
        vocab_size=VOCABULARY,
        d_model=24,
        d_kv=7,
        d_ff=40,
        # generate sizes the decoder's cache by the encoder's layers.
        num_layers=3,
        num_decoder_layers=2,
        num_heads=3,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
        pad_token_id=0,
        eos_token_id=None,
        decoder_start_token_id=0,
    )
    return lambda: t.T5Config(**{**base, **options})


def marian(**options):
    base = dict(
        vocab_size=VOCABULARY,
        d_model=24,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=3,
        decoder_attention_heads=2,
        encoder_ffn_dim=40,
        decoder_ffn_dim=36,
        max_position_embeddings=96,
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=0,
        decoder_start_token_id=0,
        eos_token_id=None,
        forced_eos_token_id=None,
    )
    return lambda: t.MarianConfig(**{**base, **options})


def without(prefix):
    return lambda name: name.removeprefix(prefix)


MASKED = dict(head="language")
SEQUENCE = dict(head="sequence")
TOKEN = dict(head="token")
# Large biases, or a memory that drowns the stream, make a greedy search repeat one token.
VARIED = {"vector": 0.1}
CALM = {"vector": 0.05, "encoder_attn.out_proj": 0.05}
CAUSAL = dict(head="language", generates=True, lengths=[5, 1, 18], std=0.5)

ENCODERS = {
    "bert/masked": Case(
        "bert", t.BertForMaskedLM, bert_like(t.BertConfig, hidden_act="gelu_new"), types=2, **MASKED
    ),
    # Both names of the bias and of the matrix, as checkpoints have them that tie nothing on disk.
    "bert/masked-untied": Case(
        "bert",
        t.BertForMaskedLM,
        bert_like(t.BertConfig, tie_word_embeddings=False),
        types=2,
        dtype=torch.float32,
        **MASKED,
    ),
    "bert/sequence": Case(
        "bert", t.BertForSequenceClassification, bert_like(t.BertConfig, **LABELS), types=2, **SEQUENCE
    ),
    "bert/token": Case(
        "bert", t.BertForTokenClassification, bert_like(t.BertConfig, **LABELS), types=2, **TOKEN
    ),
    "roberta/base": Case(
        "roberta", t.RobertaModel, bert_like(t.RobertaConfig, pad_token_id=0), types=2
    ),
    "roberta/masked": Case(
        "roberta",
        t.RobertaForMaskedLM,
        bert_like(t.RobertaConfig, type_vocab_size=1, layer_norm_eps=1e-5),
        dtype=torch.float32,
        **MASKED,
    ),
    "roberta/sequence": Case(
        "roberta",
        t.RobertaForSequenceClassification,
        bert_like(t.RobertaConfig, type_vocab_size=1, **LABELS),
        **SEQUENCE,
    ),
    "roberta/token": Case(
        "roberta",
        t.RobertaForTokenClassification,
        bert_like(t.RobertaConfig, type_vocab_size=1, **LABELS),
        **TOKEN,
    ),
    "xlm-roberta/masked": Case(
        "xlm-roberta",
        t.XLMRobertaForMaskedLM,
        bert_like(t.XLMRobertaConfig, type_vocab_size=1, layer_norm_eps=1e-5),
        **MASKED,
    ),
    "xlm-roberta/sequence": Case(
        "xlm-roberta",
        t.XLMRobertaForSequenceClassification,
        bert_like(t.XLMRobertaConfig, type_vocab_size=1, num_labels=1),
        dtype=torch.float32,
        **SEQUENCE,
    ),
    "distilbert/base": Case(
        "distilbert",
        t.DistilBertModel,
        distil(sinusoidal_pos_embds=True, activation="relu"),
        dtype=torch.float32,
    ),
    "distilbert/masked": Case("distilbert", t.DistilBertForMaskedLM, distil(), **MASKED),
    "distilbert/sequence": Case(
        "distilbert", t.DistilBertForSequenceClassification, distil(**LABELS), **SEQUENCE
    ),
    "distilbert/token": Case(
        "distilbert", t.DistilBertForTokenClassification, distil(**LABELS), **TOKEN
    ),
    # Long enough for the last bucket.
    "mpnet/base": Case(
        "mpnet",
        t.MPNetModel,
        bert_like(t.MPNetConfig, hidden_size=16, num_attention_heads=2, max_position_embeddings=150),
        lengths=[140, 1, 9],
        dtype=torch.float32,
        std=0.4,
    ),
    "mpnet/masked": Case("mpnet", t.MPNetForMaskedLM, bert_like(t.MPNetConfig), **MASKED),
    "mpnet/sequence": Case(
        "mpnet", t.MPNetForSequenceClassification, bert_like(t.MPNetConfig, **LABELS), **SEQUENCE
    ),
    "mpnet/token": Case(
        "mpnet", t.MPNetForTokenClassification, bert_like(t.MPNetConfig, **LABELS), **TOKEN
    ),
    "electra/base": Case(
        "electra", t.ElectraModel, bert_like(t.ElectraConfig, embedding_size=24), types=2
    ),
    "electra/masked": Case(
        "electra", t.ElectraForMaskedLM, bert_like(t.ElectraConfig, embedding_size=16), types=2, **MASKED
    ),
    "electra/sequence": Case(
        "electra",
        t.ElectraForSequenceClassification,
        bert_like(t.ElectraConfig, embedding_size=16, **LABELS),
        types=2,
        dtype=torch.float32,
        **SEQUENCE,
    ),
    "electra/token": Case(
        "electra",
        t.ElectraForTokenClassification,
        bert_like(t.ElectraConfig, embedding_size=32, **LABELS),
        types=2,
        **TOKEN,
    ),
    "modernbert/masked": Case("modernbert", t.ModernBertForMaskedLM, modern(), **MASKED),
    # Every bias, and the keys of the first release.
    "modernbert/first-release": Case(
        "modernbert",
        t.ModernBertModel,
        modern(
            attention_bias=True,
            mlp_bias=True,
            norm_bias=True,
            num_hidden_layers=3,
            layer_types=["full_attention", "sliding_attention", "full_attention"],
        ),
        config_without=("layer_types", "rope_parameters"),
        config_with={
            "global_attn_every_n_layers": 2,
            "global_rope_theta": 900.0,
            "local_rope_theta": 70.0,
        },
        dtype=torch.float32,
    ),
    "modernbert/sequence": Case(
        "modernbert",
        t.ModernBertForSequenceClassification,
        modern(classifier_pooling="mean", classifier_bias=True, norm_bias=True, **LABELS),
        **SEQUENCE,
    ),
    "modernbert/sequence-cls": Case(
        "modernbert",
        t.ModernBertForSequenceClassification,
        modern(classifier_pooling="cls", **LABELS),
        **SEQUENCE,
    ),
    "modernbert/token": Case(
        "modernbert", t.ModernBertForTokenClassification, modern(**LABELS), **TOKEN
    ),
}

DECODERS = {
    "gpt2/causal": Case("gpt2", t.GPT2LMHeadModel, gpt2(), **CAUSAL),
    # Names and masks as in the first checkpoints.
    "gpt2/base": Case(
        "gpt2",
        t.GPT2LMHeadModel,
        gpt2(scale_attn_by_inverse_layer_idx=True, activation_function="relu", n_inner=50),
        rename=without("transformer."),
        extras={
            "h.0.attn.bias": torch.ones(1, 1, 96, 96, dtype=torch.uint8).tril(),
            "h.0.attn.masked_bias": torch.tensor(-1e4),
        },
        dtype=torch.float32,
        **CAUSAL,
    ),
    "gpt2/sequence": Case(
        "gpt2",
        t.GPT2ForSequenceClassification,
        gpt2(scale_attn_weights=False, pad_token_id=0, n_layer=2, **LABELS),
        **SEQUENCE,
    ),
    "llama/causal": Case(
        "llama",
        t.LlamaForCausalLM,
        decoder(t.LlamaConfig, attention_bias=True, mlp_bias=True, eos_token_id=2),
        ends=True,
        distinct=3,
        **CAUSAL,
    ),
    "llama/llama3": Case(
        "llama",
        t.LlamaForCausalLM,
        decoder(
            t.LlamaConfig,
            tie_word_embeddings=True,
            head_dim=16,
            rope_parameters=rope(
                "llama3",
                factor=4.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=48,
            ),
        ),
        dtype=torch.float32,
        **CAUSAL,
    ),
    # The keys of configs before transformers 5.
    "llama/linear": Case(
        "llama",
        t.LlamaForCausalLM,
        decoder(t.LlamaConfig, rms_norm_eps=1e-5),
        config_without=("rope_parameters",),
        config_with={"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 3.0}},
        **CAUSAL,
    ),
    "llama/yarn": Case(
        "llama",
        t.LlamaForCausalLM,
        decoder(
            t.LlamaConfig,
            head_dim=20,
            rope_parameters=rope(
                "yarn", factor=4.0, original_max_position_embeddings=24, beta_fast=4.0
            ),
        ),
        **CAUSAL,
    ),
    "llama/sequence": Case(
        "llama",
        t.LlamaForSequenceClassification,
        decoder(t.LlamaConfig, pad_token_id=0, num_hidden_layers=2, **LABELS),
        **SEQUENCE,
    ),
    "qwen2/causal": Case(
        "qwen2",
        t.Qwen2ForCausalLM,
        decoder(t.Qwen2Config, tie_word_embeddings=True),
        **CAUSAL,
    ),
    "qwen2/window": Case(
        "qwen2",
        t.Qwen2ForCausalLM,
        decoder(t.Qwen2Config, use_sliding_window=True, sliding_window=4, max_window_layers=1),
        config_without=("layer_types",),
        **CAUSAL,
    ),
    "qwen3/causal": Case(
        "qwen3",
        t.Qwen3ForCausalLM,
        decoder(
            t.Qwen3Config,
            head_dim=10,
            tie_word_embeddings=True,
            use_sliding_window=True,
            sliding_window=6,
            max_window_layers=2,
        ),
        **CAUSAL,
    ),
    # An embedding model: the base's names.
    "qwen3/base": Case(
        "qwen3",
        t.Qwen3Model,
        decoder(t.Qwen3Config, head_dim=8, attention_bias=True),
        dtype=torch.float32,
    ),
    "mistral/window": Case(
        "mistral",
        t.MistralForCausalLM,
        decoder(t.MistralConfig, sliding_window=5),
        **CAUSAL,
    ),
    "mistral/no-window": Case(
        "mistral",
        t.MistralForCausalLM,
        decoder(t.MistralConfig, sliding_window=None, head_dim=12),
        config_with={"sliding_window": None},
        dtype=torch.float32,
        **CAUSAL,
    ),
    "bloom/causal": Case("bloom", t.BloomForCausalLM, bloom(), distinct=4, stds=VARIED, **CAUSAL),
    "bloom/base": Case(
        "bloom",
        t.BloomForCausalLM,
        bloom(n_head=4, eos_token_id=2),
        rename=without("transformer."),
        config_without=("hidden_size",),
        config_with={"n_embed": 24},
        dtype=torch.float32,
        ends=True,
        distinct=3,
        stds=VARIED,
        **CAUSAL,
    ),
}

ENCODER_DECODERS = {
    "t5/first-release": Case("t5", t.T5ForConditionalGeneration, t5(), **CAUSAL),
    "t5/gated": Case(
        "t5",
        t.T5ForConditionalGeneration,
        t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False, eos_token_id=1),
        config_with={"tie_word_embeddings": False},
        config_without=("scale_decoder_outputs",),
        ends=True,
        distinct=3,
        dtype=torch.float32,
        **{**CAUSAL, "std": 0.3},
    ),
    "t5/encoder": Case("t5", t.T5EncoderModel, t5(feed_forward_proj="gated-silu"), lengths=[33, 1, 7]),
    "marian/shared": Case(
        "marian",
        t.MarianMTModel,
        marian(),
        random_buffers=("final_logits_bias",),
        distinct=3,
        stds=CALM,
        **{**CAUSAL, "std": 0.2},
    ),
    "marian/apart": Case(
        "marian",
        t.MarianMTModel,
        marian(
            share_encoder_decoder_embeddings=False,
            decoder_vocab_size=47,
            activation_function="relu",
            scale_embedding=False,
            eos_token_id=1,
        ),
        random_buffers=("final_logits_bias",),
        dtype=torch.float32,
        ends=True,
        distinct=2,
        stds=CALM,
        **{**CAUSAL, "std": 0.2},
    ),
}

CASES = {**ENCODERS, **DECODERS, **ENCODER_DECODERS}
