"""A model in float64 throughout: transformers' code says float32 in norms, softmaxes and rotary positions."""

from contextlib import contextmanager

import torch


def rotary_in_double(module):
    """A forward for a rotary module: angles, cosines and sines in float64, from the frequencies that the
    model was made with, which are float32."""

    def forward(x, position_ids, layer_type=None):
        prefix = f"{layer_type}_" if layer_type else ""
        frequencies = getattr(module, f"{prefix}inv_freq").double()
        magnitude = getattr(module, f"{prefix}attention_scaling")
        angles = position_ids[..., None].double() * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return (angles.cos() * magnitude).to(x.dtype), (angles.sin() * magnitude).to(x.dtype)

    return forward


def make_exact(model):
    assert all(p.dtype == torch.float64 for p in model.parameters())
    for module in model.modules():
        if "inv_freq" in " ".join(name for name, _ in module.named_buffers(recurse=False)):
            module.forward = rotary_in_double(module)
    return model


@contextmanager
def float32_means_float64():
    """While it is open, code that asks for torch.float32 gets float64, and `.float()` leaves float64 as it is.
    Integers still become float32: buckets of distances are what float32 makes of them."""
    single, to_single = torch.float32, torch.Tensor.float
    torch.float32 = torch.float64
    torch.Tensor.float = lambda x: x if x.dtype == torch.float64 else to_single(x)
    try:
        yield
    finally:
        torch.float32, torch.Tensor.float = single, to_single
