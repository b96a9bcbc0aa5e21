"""The model of "Attention Is All You Need" (Vaswani et al. 2017, arXiv:1706.03762) in plain PyTorch.

Written to be read beside the paper: every class names its section. Dropout and label smoothing (5.4) are
left out, as training data is generated and never repeats.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Settings:
    vocabulary: int
    width: int  # d_model
    heads: int  # h
    inner: int  # d_ff
    layers: int  # N, of the encoder and of the decoder
    positions: int  # the longest sequence
    epsilon: float  # of the layer norms; the paper names none, its authors' code has 1e-6


class Attention(nn.Module):
    """Multi-head attention (3.2.2) in its residual with the norm after it (3.1): LayerNorm(x + Attention(x))."""

    def __init__(self, s: Settings):
        super().__init__()
        self.heads = s.heads
        self.query = nn.Linear(s.width, s.width, bias=False)
        self.key = nn.Linear(s.width, s.width, bias=False)
        self.value = nn.Linear(s.width, s.width, bias=False)
        self.output = nn.Linear(s.width, s.width, bias=False)
        self.norm = nn.LayerNorm(s.width, s.epsilon)

    def forward(self, x, source, visible):
        """x [B, Q, E]; keys and values from source [B, K, E]; visible [B or 1, 1, Q or 1, K], True where a query sees a key."""
        query, key, value = self.split(self.query(x)), self.split(self.key(source)), self.split(self.value(source))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # 3.2.1
        weights = scores.masked_fill(~visible, -math.inf).softmax(-1)
        mixed = (weights @ value).transpose(1, 2).flatten(2)
        return self.norm(x + self.output(mixed))

    def split(self, x):
        """[B, L, E] -> [B, heads, L, E / heads]"""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Position-wise feed-forward network (3.3), FFN(x) = max(0, x W1 + b1) W2 + b2, in its residual."""

    def __init__(self, s: Settings):
        super().__init__()
        self.up = nn.Linear(s.width, s.inner)
        self.down = nn.Linear(s.inner, s.width)
        self.norm = nn.LayerNorm(s.width, s.epsilon)

    def forward(self, x):
        return self.norm(x + self.down(self.up(x).relu()))


class EncoderLayer(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.attention = Attention(s)
        self.feed_forward = FeedForward(s)

    def forward(self, x, visible):
        return self.feed_forward(self.attention(x, x, visible))


class DecoderLayer(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.attention = Attention(s)
        self.cross_attention = Attention(s)
        self.feed_forward = FeedForward(s)

    def forward(self, x, past, memory, visible):
        return self.feed_forward(self.cross_attention(self.attention(x, x, past), memory, visible))


class Transformer(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.settings = s
        # One matrix for both embeddings and the projection before the softmax (3.4).
        self.embedding = nn.Embedding(s.vocabulary, s.width)
        self.encoder = nn.ModuleList(EncoderLayer(s) for _ in range(s.layers))
        self.decoder = nn.ModuleList(DecoderLayer(s) for _ in range(s.layers))
        self.register_buffer("positions", positional_encoding(s), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2 and "embedding" not in name:
                nn.init.xavier_uniform_(parameter)
        nn.init.normal_(self.embedding.weight, std=s.width**-0.5)

    def embed(self, tokens):
        scaled = self.embedding(tokens) * math.sqrt(self.settings.width)
        return scaled + self.positions[: tokens.shape[1]].to(scaled.dtype)

    def encoder_states(self, tokens, visible):
        """The embedding, then the output of every layer; the last one is the memory. Each [B, K, E]."""
        states = [self.embed(tokens)]
        for layer in self.encoder:
            states.append(layer(states[-1], visible))
        return states

    def decoder_states(self, tokens, memory, visible):
        """As encoder_states, for the decoder; a position sees itself and those before it."""
        length = tokens.shape[1]
        past = torch.ones(length, length, dtype=torch.bool).tril()[None, None]
        states = [self.embed(tokens)]
        for layer in self.decoder:
            states.append(layer(states[-1], past, memory, visible))
        return states

    def logits(self, hidden):
        return hidden @ self.embedding.weight.T

    def forward(self, source, visible, target):
        """source [B, K], visible [B, 1, 1, K] (False at padding), target [B, L] -> logits [B, L, V]"""
        memory = self.encoder_states(source, visible)[-1]
        return self.logits(self.decoder_states(target, memory, visible)[-1])

    @torch.no_grad()
    def greedy(self, source, visible, start: int, stop: int, most: int):
        """The most likely token, again and again: [B, up to most]; rows go on after their first `stop`."""
        memory = self.encoder_states(source, visible)[-1]
        tokens = torch.full((len(source), 1), start)
        for _ in range(most):
            last = self.decoder_states(tokens, memory, visible)[-1][:, -1]
            tokens = torch.cat([tokens, self.logits(last).argmax(-1, keepdim=True)], 1)
            if (tokens == stop).any(1).all():
                break
        return tokens[:, 1:]


def positional_encoding(s: Settings):
    """Sines in the even columns, cosines in the odd ones (3.5)."""
    position = torch.arange(s.positions, dtype=torch.float64)[:, None]
    angle = position / 10000 ** (torch.arange(0, s.width, 2, dtype=torch.float64) / s.width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
