"""What the golden makers share: seeded values, versions, and how arrays and metadata are written."""

import json
import platform
import shutil
from pathlib import Path

import numpy
import safetensors
import safetensors.numpy
import sentence_transformers
import tokenizers
import torch
import transformers

torch.set_num_threads(1)
torch.set_grad_enabled(False)
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "sentence-transformers": sentence_transformers.__version__,
        "tokenizers": tokenizers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": numpy.__version__,
        "machine": platform.machine(),
        "torch cpu capability": torch.backends.cpu.get_cpu_capability(),
    }


def write_json(path: Path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_arrays(path: Path, arrays: dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    safetensors.numpy.save_file({k: numpy.ascontiguousarray(v) for k, v in arrays.items()}, path)
    path.chmod(0o644)


def fresh_folder(path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def offsets_of(sequences) -> numpy.ndarray:
    return numpy.cumsum([0] + [len(s) for s in sequences], dtype=numpy.int32)


def randomize(module: torch.nn.Module, seed: int, std: float, stds: dict | None = None):
    """Fills every parameter from the seed, far from the usual initial values, so that a swapped,
    dropped or misread parameter shows: gains around 1, biases around 0, both spread by `std`, or by
    what `stds` says of a part of the name, or of "vector"."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(module.named_parameters()):
        if name.endswith("embed_positions.weight"):
            continue  # computed, not learned
        values = torch.randn(parameter.shape, generator=generator)
        kinds = f"{name} {'vector' if parameter.dim() == 1 else 'matrix'}"
        values *= next((other for part, other in (stds or {}).items() if part in kinds), std)
        if parameter.dim() == 1 and name.endswith(".weight"):
            values = values + 1
        parameter.copy_(values)


def max_abs(a, b) -> float:
    return float(numpy.max(numpy.abs(a.astype(numpy.float64) - b.astype(numpy.float64)), initial=0))
