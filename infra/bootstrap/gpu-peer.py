"""Train step of the same shape by PyTorch and transformers, for npm run test:gpu. Argument: the shape as JSON."""

import json
import sys
import time

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

shape = json.loads(sys.argv[1])
c = shape["config"]
config = Qwen3Config(
    hidden_size=c["hiddenSize"], num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
    num_key_value_heads=c["kvHeads"], head_dim=c["headDim"], intermediate_size=c["intermediateSize"],
    vocab_size=c["vocabSize"], tie_word_embeddings=True,
)
device = "cuda" if torch.cuda.is_available() else "cpu"
model = Qwen3ForCausalLM(config).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
ids = torch.randint(0, c["vocabSize"], (shape["rows"], shape["tokens"]), device=device)


def step():
    model(input_ids=ids, labels=ids).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    if device == "cuda":
        torch.cuda.synchronize()


step()
started = time.perf_counter()
step()
seconds = time.perf_counter() - started
size = sum(p.numel() for p in model.parameters())
tokens = ids.numel() / seconds
memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
print(json.dumps({"device": device, "trainedPerSecond": tokens, "teraflops": 6 * size * tokens / 1e12, "gigabytes": memory}))
