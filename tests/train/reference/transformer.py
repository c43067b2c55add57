"""Llama (arXiv 2302.13971), Qwen 3 (arXiv 2505.09388) and Gemma 3 (arXiv 2503.19786) as PyTorch
functions of the tensors of a GGUF file. Written to be read: one sequence at a time, nothing fused,
gradients by autograd alone."""

import math

import torch

from gguf_file import read_gguf


class Model:
    """The recipe of a file, and its weights as leaves of the autograd graph."""

    def __init__(self, path, dtype):
        metadata, tensors = read_gguf(path)
        self.family = metadata["general.architecture"]

        def get(key, otherwise=None):
            return metadata.get(f"{self.family}.{key}", otherwise)

        self.width = get("embedding_length")
        self.n_layers = get("block_count")
        self.n_heads = get("attention.head_count")
        self.n_kv_heads = get("attention.head_count_kv")
        self.head = get("attention.key_length", self.width // self.n_heads)
        self.epsilon = get("attention.layer_norm_rms_epsilon")
        self.rope_base = get("rope.freq_base", 10000.0)
        self.window = get("attention.sliding_window")
        self.window_layers = get("attention.sliding_window_pattern", [False] * self.n_layers)
        self.window_rope_base = get("rope.freq_base_swa", self.rope_base)
        self.weights = {name: torch.tensor(values, dtype=dtype, requires_grad=True)
                        for name, values in tensors.items()}


def rms_norm(x, weight, epsilon):
    """Zhang & Sennrich, arXiv 1910.07467. Files of Gemma hold 1 + weight already."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * weight


def rope(x, base, neighbours):
    """Rotary positions (arXiv 2104.09864) of x [n][heads][d]: the pairs are neighbouring values,
    as Llama's files have them, or the two halves of a head."""
    n, _, d = x.shape
    inverse = base ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    angles = torch.outer(torch.arange(n, dtype=torch.float64), inverse)[:, None, :]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = (x[..., 0::2], x[..., 1::2]) if neighbours else x.chunk(2, -1)
    turned = a * cos - b * sin, a * sin + b * cos
    return torch.stack(turned, -1).flatten(-2) if neighbours else torch.cat(turned, -1)


def visible(n, window):
    """[query][key]: a query sees itself and what came before, of a window that many in all."""
    distance = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    return (distance >= 0) & (distance < (window or n))


def attention(model, layer, x):
    def weight(name):
        return model.weights[f"blk.{layer}.{name}.weight"]

    def heads(name, count):
        values = (x @ weight(name).T).reshape(len(x), count, model.head)
        norm = model.weights.get(f"blk.{layer}.{name}_norm.weight")
        return values if norm is None else rms_norm(values, norm, model.epsilon)

    local = model.window_layers[layer]
    base = model.window_rope_base if local else model.rope_base
    neighbours = model.family == "llama"
    q = rope(heads("attn_q", model.n_heads), base, neighbours)
    k = rope(heads("attn_k", model.n_kv_heads), base, neighbours)
    v = heads("attn_v", model.n_kv_heads)
    share = model.n_heads // model.n_kv_heads  # queries to a key: arXiv 2305.13245
    k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(model.head)
    seen = visible(len(x), model.window if local else None)
    weights = scores.masked_fill(~seen, -math.inf).softmax(-1)
    return torch.einsum("hqk,khd->qhd", weights, v).flatten(1) @ weight("attn_output").T


def feed_forward(model, layer, x):
    gate, up, down = (model.weights[f"blk.{layer}.ffn_{name}.weight"]
                      for name in ("gate", "up", "down"))
    x_gate = x @ gate.T
    if model.family == "gemma3":  # GELU with tanh, arXiv 1606.08415
        inner = math.sqrt(2 / math.pi) * (x_gate + 0.044715 * x_gate ** 3)
        activated = 0.5 * x_gate * (1 + inner.tanh())
    else:
        activated = x_gate * x_gate.sigmoid()
    return (activated * (x @ up.T)) @ down.T


def logits(model, tokens):
    """[n][vocabulary] of one sequence from position 0."""
    def norm(name, x):
        weight = model.weights.get(f"{name}.weight")  # only Gemma has norms after the parts
        return x if weight is None else rms_norm(x, weight, model.epsilon)

    x = model.weights["token_embd.weight"][tokens]
    if model.family == "gemma3":
        x = x * math.sqrt(model.width)
    for i in range(model.n_layers):
        part = attention(model, i, norm(f"blk.{i}.attn_norm", x))
        x = x + norm(f"blk.{i}.post_attention_norm", part)
        part = feed_forward(model, i, norm(f"blk.{i}.ffn_norm", x))
        x = x + norm(f"blk.{i}.post_ffw_norm", part)
    output = model.weights.get("output.weight", model.weights["token_embd.weight"])
    return norm("output_norm", x) @ output.T


def loss_sum(model, sequences):
    """The sum of -log p(next token) over lists of tokens that do not see each other, and how many
    there are."""
    total, count = 0, 0
    for sequence in sequences:
        tokens = torch.tensor(sequence)
        total = total + torch.nn.functional.cross_entropy(
            logits(model, tokens[:-1]), tokens[1:], reduction="sum")
        count += len(sequence) - 1
    return total, count
