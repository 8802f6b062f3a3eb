"""python torch-train-step.py KIND DTYPE THREADS: the step of ../engines/train-step.cjs by torch (eager) and transformers."""

import json
import math
import os
import resource
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

kind, dtype, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
with open(os.path.join(os.path.dirname(__file__), "../engines/shapes.json")) as file:
    shape = json.load(file)[kind]
config = LlamaConfig(max_position_embeddings=512, attn_implementation="sdpa", **shape["model"])
torch.manual_seed(0)
model = LlamaForCausalLM(config).train()
optimizer = torch.optim.AdamW(model.parameters(), 1e-5, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
rows, width, trained = shape["sequences"], shape["tokens"], shape["trained"]
vocabulary = shape["model"]["vocab_size"]
tokens = torch.randint(0, vocabulary, (rows, width + 1))
behaviour = torch.full((rows, trained), -math.log(vocabulary))
advantages = (torch.arange(rows) % 2 * 2.0 - 1)[:, None]


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
        logits = model(tokens[:, :-1], logits_to_keep=trained, use_cache=False).logits
    chosen = torch.log_softmax(logits.float(), -1).gather(-1, tokens[:, -trained:, None])[..., 0]
    ratio = torch.exp(chosen - behaviour)
    loss = -torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    loss.item()


step()
times = []
for _ in range(shape["steps"]):
    started = time.perf_counter()
    step()
    times.append(1000 * (time.perf_counter() - started))
times.sort()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"ms": times[len(times) // 2], "peakMiB": peak}))
