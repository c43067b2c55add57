"""Writes gradients-FAMILY.txt: gradients of the mean next-token loss, in double precision.
Usage: make_gradients.py TESTDATA OUTPUT_FOLDER"""

import sys
from pathlib import Path

import numpy as np
import torch

from transformer import Model, logits, loss_sum

MODELS = {"llama": "logits", "qwen3": "logits", "gemma3": "logits_exact_gelu"}
BOUNDARIES = [0, 55, 64, 96]  # of the sequences in tokens.txt; the first outgrows the windows
DIRECTIONS = 64
WHOLE = 256  # tensors of so many values are written whole


def splitmix64(i):
    """Output i of splitmix64 from state 0 (Steele, Lea & Flood, OOPSLA 2014)."""
    with np.errstate(over="ignore"):
        z = (i.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def projections(gradient):
    """Along DIRECTIONS vectors of signs: value i of vector d is + where bit d of splitmix64(i)."""
    words = splitmix64(np.arange(gradient.size))
    bits = (words[None, :] >> np.arange(DIRECTIONS, dtype=np.uint64)[:, None]) & np.uint64(1)
    return (2 * bits.astype(np.int8) - 1).astype(np.float64) @ gradient


def check_forward(model, tokens, path):
    """The model is the one that was meant: its logits are those of the golden data."""
    expected = np.fromfile(path, "<f4").astype(np.float64).reshape(len(tokens), -1)
    found = logits(model, torch.tensor(tokens)).detach().numpy()
    error = np.square(found - expected).sum() / np.square(expected).sum()
    print(f"{model.family}: logits differ by {error:.1e} (NMSE)")
    if error > 1e-8:
        raise SystemExit(f"{path} disagrees")


def write(model, tokens, path):
    sequences = [tokens[a:b] for a, b in zip(BOUNDARIES, BOUNDARIES[1:])]
    total, count = loss_sum(model, sequences)
    (total / count).backward()
    with open(path, "w", encoding="ascii") as file:
        print("loss", f"{total.item() / count:.12g}", file=file)
        for name, weight in model.weights.items():
            gradient = weight.grad.numpy().ravel()
            values = gradient if gradient.size <= WHOLE else projections(gradient)
            norm = np.linalg.norm(gradient)
            print(name, gradient.size, len(values), f"{norm:.9g}", file=file)
            for start in range(0, len(values), 8):
                print(*(f"{v:.8e}" for v in values[start:start + 8]), file=file)


def main(testdata, output):
    for family, golden in MODELS.items():
        folder = Path(testdata, "arch", f"{family}-dense")
        tokens = [int(t) for t in (folder / "tokens.txt").read_text().split()]
        model = Model(folder / "model.gguf", torch.float64)
        check_forward(model, tokens, folder / f"{golden}.f32")
        write(model, tokens, Path(output, f"gradients-{family}.txt"))


if __name__ == "__main__":
    main(*sys.argv[1:])
