"""Writes curve.txt: held-out losses of a run of full tuning.
Usage: make_curve.py STORIES260K.gguf BATCHES OUTPUT_FOLDER
BATCHES is what 'test_train_pytorch_curve --batches' prints."""

import math
import sys
from pathlib import Path

import torch

from transformer import Model, loss_sum

# The recipe, as in test_pytorch_curve.c.
STEPS, WARMUP, ACCUMULATION, EVALUATE_EVERY = 200, 10, 2, 50
RATE, LEAST_RATE, WEIGHT_DECAY, MAX_NORM = 1e-3, 0.1, 0.1, 1.0


def read_batches(path):
    """{part: batches}, a batch being a list of sequences."""
    parts = {"train": [], "held-out": []}
    for line in Path(path).read_text().splitlines():
        part, number, *tokens = line.split()
        if int(number) == len(parts[part]):
            parts[part].append([])
        parts[part][int(number)].append([int(t) for t in tokens])
    return parts


def rate_factor(step):
    """Of the step counted from 0: a linear warm-up, then half a cosine (arXiv 1608.03983)."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    progress = min(1, (step - WARMUP) / (STEPS - 1 - WARMUP))
    return LEAST_RATE + (1 - LEAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))


def make_optimizer(model):
    weights = model.weights.values()
    groups = [{"params": [w for w in weights if w.dim() > 1], "weight_decay": WEIGHT_DECAY},
              {"params": [w for w in weights if w.dim() == 1], "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, rate_factor)


def evaluate(model, batches):
    with torch.no_grad():
        total, count = loss_sum(model, [s for batch in batches for s in batch])
    return total.item() / count


def train_step(model, sequences, optimizer, scheduler):
    total, count = loss_sum(model, sequences)
    loss = total / count
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.weights.values(), MAX_NORM)
    optimizer.step()
    scheduler.step()
    return loss.item()


def main(model_path, batches_path, output):
    batches = read_batches(batches_path)
    model = Model(model_path, torch.float32)
    optimizer, scheduler = make_optimizer(model)
    lines = []

    def note(part, step, loss):
        lines.append(f"{part} {step} {loss:.7g}")
        print(lines[-1], flush=True)

    note("held-out", 0, evaluate(model, batches["held-out"]))
    for step in range(STEPS):
        chosen = batches["train"][step * ACCUMULATION:(step + 1) * ACCUMULATION]
        loss = train_step(model, [s for batch in chosen for s in batch], optimizer, scheduler)
        if step == 0:
            note("train", 1, loss)
        if (step + 1) % EVALUATE_EVERY == 0:
            note("held-out", step + 1, evaluate(model, batches["held-out"]))
    Path(output, "curve.txt").write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
