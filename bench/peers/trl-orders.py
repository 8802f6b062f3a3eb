"""python trl-orders.py MODEL SECONDS [SEED]: the job of infra/recipes/smollm2-grpo.yaml by TRL's GRPOTrainer, from the same
model and data with the same settings, until nine in ten held-out orders are right; times are without TRL's evaluations."""

import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

folder, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
torch.set_num_threads(2)
data = Path(__file__).parents[2] / "infra/data"
system = 'Write orders as JSON.\nOrder: Bern needs five white cups.\nJSON: {"item": "white cups", "quantity": 5, "city": "Bern"}'


def samples(name):
    lines = map(json.loads, (data / name).read_text().splitlines())
    return [
        {
            "prompt": [{"role": "system", "content": system}, {"role": "user", "content": line["question"]}],
            "answer": line["answer"],
        }
        for line in lines
    ]


def score(text, answer):
    try:
        given = json.loads(text)
    except ValueError:
        return 0.0
    expected = json.loads(answer)
    if given == expected:
        return 1.0
    if not isinstance(given, dict):
        return 0.0
    equal = sum(key in given and given[key] == value for key, value in expected.items())
    return 0.5 * equal / len(given.keys() | expected.keys())


def reward(completions, answer, **_):
    return [score(completion[0]["content"], one) for completion, one in zip(completions, answer)]


tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
held_out = samples("orders.test.jsonl")[:100]


def accuracy(policy):
    policy.eval()
    prompts = [
        tokenizer.apply_chat_template(sample["prompt"], tokenize=False, add_generation_prompt=True)
        for sample in held_out
    ]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    with torch.no_grad():
        output = policy.generate(**batch, max_new_tokens=32, do_sample=False)
    texts = tokenizer.batch_decode(output[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    policy.train()
    return sum(score(text, sample["answer"]) == 1 for text, sample in zip(texts, held_out)) / len(held_out)


class Evaluation(TrainerCallback):
    def __init__(self):
        self.started = time.time()
        self.evaluating = 0.0

    def on_step_end(self, args, state, control, model=None, **_):
        if state.global_step % 5 != 0:
            return
        began = time.time()
        right = accuracy(model)
        self.evaluating += time.time() - began
        elapsed = time.time() - self.started - self.evaluating
        print(json.dumps({"step": state.global_step, "seconds": round(elapsed, 1), "accuracy": right}), flush=True)
        control.should_training_stop = right >= 0.9 or elapsed > seconds


print(json.dumps({"step": 0, "seconds": 0, "accuracy": accuracy(model)}), flush=True)
GRPOTrainer(
    model=model,
    reward_funcs=reward,
    args=GRPOConfig(
        output_dir="/tmp/trl-orders",
        per_device_train_batch_size=64,
        num_generations=8,
        max_completion_length=32,
        temperature=0.7,
        learning_rate=2e-5,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=3,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        beta=0.0,
        loss_type="dapo",
        max_steps=500,
        logging_steps=10_000,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        seed=seed,
        disable_tqdm=True,
    ),
    train_dataset=Dataset.from_list(samples("orders.jsonl")),
    processing_class=tokenizer,
    callbacks=[Evaluation()],
).train()
