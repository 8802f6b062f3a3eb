"""python gguf-of-shape.py KIND FILE F32|Q4_1: a model of ../engines/shapes.json with random weights as GGUF for llama.cpp."""

import json
import os
import sys

import gguf
import numpy as np
from gguf.quants import quantize

kind, path, dtype = sys.argv[1:4]
with open(os.path.join(os.path.dirname(__file__), "../engines/shapes.json")) as file:
    model = json.load(file)[kind]["model"]
hidden, heads, kv_heads = (model[key] for key in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
wide, vocabulary, head = model["intermediate_size"], model["vocab_size"], hidden // heads
draw = np.random.default_rng(1)

writer = gguf.GGUFWriter(path, "llama")
writer.add_context_length(512)
writer.add_embedding_length(hidden)
writer.add_block_count(model["num_hidden_layers"])
writer.add_feed_forward_length(wide)
writer.add_head_count(heads)
writer.add_head_count_kv(kv_heads)
writer.add_rope_dimension_count(head)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_file_type(gguf.LlamaFileType.ALL_F32 if dtype == "F32" else gguf.LlamaFileType.MOSTLY_Q4_1)
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("default")
writer.add_token_list([f"<{i}>" for i in range(vocabulary)])
writer.add_token_types([gguf.TokenType.NORMAL] * vocabulary)
writer.add_token_merges(["< 0"])
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)


def add(name, *shape):
    is_norm = len(shape) == 1
    data = (np.ones(shape) if is_norm else draw.normal(0, 0.02, shape)).astype(np.float32)
    if is_norm or dtype == "F32":
        writer.add_tensor(f"{name}.weight", data)
    else:
        kind = gguf.GGMLQuantizationType[dtype]
        writer.add_tensor(f"{name}.weight", quantize(data, kind), raw_dtype=kind)


add("token_embd", vocabulary, hidden)
for layer in range(model["num_hidden_layers"]):
    block = f"blk.{layer}"
    add(f"{block}.attn_norm", hidden)
    add(f"{block}.attn_q", heads * head, hidden)
    add(f"{block}.attn_k", kv_heads * head, hidden)
    add(f"{block}.attn_v", kv_heads * head, hidden)
    add(f"{block}.attn_output", hidden, heads * head)
    add(f"{block}.ffn_norm", hidden)
    add(f"{block}.ffn_gate", wide, hidden)
    add(f"{block}.ffn_up", wide, hidden)
    add(f"{block}.ffn_down", hidden, wide)
add("output_norm", hidden)
if not model["tie_word_embeddings"]:
    add("output", vocabulary, hidden)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
