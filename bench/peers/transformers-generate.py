"""python transformers-generate.py KIND DTYPE THREADS: the work of ../engines/generate.cjs by transformers' generate."""

import json
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
rows, tokens, prompt_tokens, rounds = 32, 64, 36, 2
config = LlamaConfig(max_position_embeddings=512, **shape["model"])
model = LlamaForCausalLM(config).eval().to(getattr(torch, dtype))
prompt = torch.tensor([[100 + i * 7 for i in range(prompt_tokens)]] * rows)


def generate():
    started = time.perf_counter()
    with torch.no_grad():
        model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            pad_token_id=2,
        )
    return rows * tokens / (time.perf_counter() - started)


generate()
rates = sorted(generate() for _ in range(rounds))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"tokensPerSecond": rates[len(rates) // 2], "peakMiB": peak}))
