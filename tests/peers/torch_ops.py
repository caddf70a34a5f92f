#!/usr/bin/env python3
"""Convolutions and attention against PyTorch (oneDNN, fused attention) on the same processor, shape by shape.

    python tests/peers/torch_ops.py conv|attention [--rounds 3] [--device SELECTOR]       as for torch_ratio.py

In every round first bfncl, then PyTorch measures a shape for the same time; a ratio is PyTorch's median time over
bfncl's, and the median over the rounds counts. PyTorch has channels-last images and weights, and heads that lie together.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SECONDS = 0.3
# batch x height x width x input channels x output channels; batch x length x heads x channels of a head
SHAPES = {
    "conv": ("16x28x28x64x64", "16x14x14x128x128", "16x7x7x128x128", "8x32x32x64x64", "8x32x32x128x128"),
    "attention": ("8x256x6x64", "16x49x4x32", "8x1024x1x64", "2x256x12x64"),
}


def timed(run):
    times = []
    for _ in range(2):
        run()
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def torch_conv(torch, shape):
    b, h, w, ci, co = shape
    image = torch.randn(b, ci, h, w).to(memory_format=torch.channels_last)
    weight = torch.randn(co, ci, 3, 3).to(memory_format=torch.channels_last)
    grad = torch.randn(b, co, h, w).to(memory_format=torch.channels_last)

    def backward(mask):
        torch.ops.aten.convolution_backward(grad, image, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)

    return {
        "conv forward": timed(lambda: torch.nn.functional.conv2d(image, weight, padding=1)),
        "conv input gradient": timed(lambda: backward([True, False, False])),
        "conv weight gradient": timed(lambda: backward([False, True, False])),
    }


def torch_attention(torch, shape):
    b, t, heads, size = shape
    q, k, v = (torch.randn(b, heads, t, size, requires_grad=True) for _ in range(3))
    grad = torch.randn(b, heads, t, size)

    def forward():
        with torch.no_grad():
            torch.nn.functional.scaled_dot_product_attention(q, k, v)

    def both():
        torch.autograd.grad(torch.nn.functional.scaled_dot_product_attention(q, k, v), (q, k, v), grad)

    return {"attention forward": timed(forward), "attention forward + backward": timed(both)}


def ours(options, what, shape):
    command = [options.bfncl, "bench", what, "--shape", shape, "--device", options.device, "--json"]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    rows = {row["op"]: row["ms"] for row in json.loads(output)["rows"]}
    if what == "attention":
        rows["attention forward + backward"] = rows["attention forward"] + rows["attention backward"]
    return rows


def main():
    parser = argparse.ArgumentParser(description="bfncl's convolutions and attention against PyTorch's")
    parser.add_argument("what", choices=SHAPES)
    parser.add_argument("--shape", action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bfncl", default=os.path.join(ROOT, "build", "bfncl"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    import torch

    torch.set_num_threads(os.cpu_count())
    peer = torch_conv if options.what == "conv" else torch_attention
    table = []
    for shape in options.shape or SHAPES[options.what]:
        rounds = []
        for _ in range(options.rounds):
            rounds.append((ours(options, options.what, shape), peer(torch, [int(n) for n in shape.split("x")])))
        for op in rounds[0][1]:
            row = {
                "op": op,
                "shape": shape,
                "torch_ms": statistics.median(theirs[op] for _, theirs in rounds),
                "bfncl_ms": statistics.median(mine[op] for mine, _ in rounds),
                "ratio": statistics.median(theirs[op] / mine[op] for mine, theirs in rounds),
            }
            table.append(row)
            if not options.json:
                line = "{op:28} {shape:16} torch {torch_ms:8.2f} ms  bfncl {bfncl_ms:8.2f} ms  ratio {ratio:5.2f}"
                print(line.format(**row), flush=True)
    if options.json:
        print(json.dumps({"torch": torch.__version__, "rows": table}, indent=1))


if __name__ == "__main__":
    main()
