#!/usr/bin/env python3
"""How fast bfncl trains and samples against PyTorch on the same processor.

    make cli
    python3 -m venv /tmp/peer && /tmp/peer/bin/pip install torch numpy
    /tmp/peer/bin/python tests/peers/torch_ratio.py train|sample [text mnist cifar] [--rounds 5] [--device SELECTOR]

Both run alternately: in every round first bfncl (`bfncl bench`, a process of its own), then PyTorch as it is (eager), then
compiled (torch.compile), a few steps each, with all cores. A ratio is PyTorch's median time per step over bfncl's in the
same round, so that a machine that becomes slower or faster does not decide; the median over the rounds counts. The
memory is the process's high-water mark over what it had before the model was built. PyTorch uses channels-last images
where that is faster for it.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

MODES = ("eager", "compile")
SAMPLE_BATCH, SAMPLE_STEPS = 16, 50
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def memory(key):
    """A line of /proc/self/status, in MiB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key + ":"))


# ---- the process that runs PyTorch ------------------------------------------------------------------------------------


def training_step(torch, model, batch):
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    params = list(model.parameters())
    average = [p.detach().clone() for p in params]
    data = model.data(batch)

    def step():
        loss = model(data)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 5.0)
        optimiser.step()
        optimiser.zero_grad()
        torch._foreach_lerp_(average, params, 0.001)
        return loss.item()

    return step


def sampling_step(torch, model, mode):
    steps = torch.tensor(float(SAMPLE_STEPS))
    advance = torch.compile(model.sample_step) if mode == "compile" else model.sample_step
    state = {"theta": model.prior(SAMPLE_BATCH), "i": 0}

    def step():
        if state["i"] == SAMPLE_STEPS:
            state.update(theta=model.prior(SAMPLE_BATCH), i=0)
        state["i"] += 1
        with torch.inference_mode():
            state["theta"] = advance(state["theta"], torch.tensor(float(state["i"])), steps)

    return step


def timed(step, n):
    times = []
    for _ in range(n):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return times


def worker(what, name, mode):
    """Answers every line on stdin, a number of steps, with their times on stdout."""
    import torch
    import torch_models

    torch.set_num_threads(os.cpu_count())
    torch.manual_seed(1)
    idle = memory("VmRSS")
    model, batch = torch_models.build(name)

    def make(layout):
        model.to(memory_format=layout)
        if what == "sample":
            return sampling_step(torch, model.eval(), mode)
        if mode == "compile":
            model.compile()
        return training_step(torch, model, batch)

    layouts = [torch.channels_last, torch.contiguous_format] if mode == "eager" and name != "text" else []
    speed = {}
    for layout in layouts:
        step = make(layout)
        timed(step, 2)
        speed[layout] = min(timed(step, 3))
    step = make(min(speed, key=speed.get) if speed else torch.channels_last if name != "text" else torch.preserve_format)
    timed(step, 3)
    params = sum(p.numel() for p in model.parameters())
    print(json.dumps({"params": params, "version": torch.__version__}), flush=True)
    for line in sys.stdin:
        times = timed(step, int(line))
        print(json.dumps({"ms": times, "peak_mib": memory("VmHWM") - idle}), flush=True)


# ---- the comparison ----------------------------------------------------------------------------------------------------


class Torch:
    def __init__(self, what, name, mode):
        command = [sys.executable, os.path.abspath(__file__), "--worker", what, name, mode]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = json.loads(self.process.stdout.readline())

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run_bfncl(options, what, name, steps):
    command = [options.bfncl, "bench", what, os.path.join(ROOT, "configs", "bench", name + ".yaml")]
    command += ["--device", options.device, "--steps", str(steps), "--json"]
    if what == "sample":
        command += ["--batch", str(SAMPLE_BATCH)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout)


def compare(options, what, name):
    """Rows {"mode", "ms", "bfncl_ms", "ratio", "least", "largest", "peak_mib", "bfncl_peak_mib"} of one configuration."""
    steps = options.steps or (SAMPLE_STEPS if what == "sample" else 8)
    peers = {mode: Torch(what, name, mode) for mode in options.modes}
    ours, theirs = [], {mode: [] for mode in peers}
    for _ in range(options.rounds):
        ours.append(run_bfncl(options, what, name, steps))
        for mode, peer in peers.items():
            theirs[mode].append(peer.run(steps))
    rows = []
    for mode, peer in peers.items():
        if peer.about["params"] != ours[0]["params"]:
            sys.exit(f"{name}: PyTorch's model has {peer.about['params']} parameters, bfncl's {ours[0]['params']}")
        ms = [statistics.median(r["ms"]) for r in theirs[mode]]
        ratios = [a / b["ms_per_step"] for a, b in zip(ms, ours)]
        rows.append({"config": name, "mode": mode, "ms": statistics.median(ms),
                     "bfncl_ms": statistics.median(r["ms_per_step"] for r in ours),
                     "ratio": statistics.median(ratios), "least": min(ratios), "largest": max(ratios),
                     "peak_mib": theirs[mode][-1]["peak_mib"],
                     "bfncl_peak_mib": max(r["host_peak_bytes"] - r["host_idle_bytes"] for r in ours) / 2**20,
                     "torch": peer.about["version"]})
        peer.close()
    return rows


def main():
    if sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:])
    parser = argparse.ArgumentParser(description="bfncl's training and sampling steps against PyTorch's")
    parser.add_argument("what", choices=("train", "sample"))
    parser.add_argument("names", nargs="*", default=["text", "mnist", "cifar"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="timed steps of a round")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bfncl", default=os.path.join(ROOT, "build", "bfncl"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table, best = [], []
    for name in options.names:
        rows = compare(options, options.what, name)
        table += rows
        best.append(min(row["ratio"] for row in rows))
        if not options.json:
            for row in rows:
                print("{config:6} {mode:8} torch {ms:8.1f} ms  bfncl {bfncl_ms:8.1f} ms  ratio {ratio:5.2f} "
                      "({least:.2f} to {largest:.2f})  memory {peak_mib:6.0f} / {bfncl_peak_mib:.0f} MiB".format(**row),
                      flush=True)
    mean = math.exp(statistics.fmean(math.log(r) for r in best))
    if options.json:
        print(json.dumps({"what": options.what, "rows": table, "geometric_mean": mean}, indent=1))
    else:
        print(f"{options.what}: against the better of PyTorch's modes: least {min(best):.2f}, geometric mean {mean:.2f}")


if __name__ == "__main__":
    main()
