"""A golden step on every rank of a job; what rank 0 found, as JSON."""

import json

import torch
import torch.distributed as dist
from test_golden_steps import GOLDEN, MODEL, episodes, recipe

from forge_torch.batches import micro_batches
from forge_torch.learner import Learner

dist.init_process_group("gloo")
found = []
for case in GOLDEN["cases"][::9]:
    learner = Learner(str(MODEL), recipe(case["algorithm"]), torch.device("cpu"))
    learner.steps = GOLDEN["version"]
    # What is gathered from the ranks is what they go on with.
    learner.restore(learner.progress())
    for expected in case["steps"]:
        result = learner.step(list(micro_batches(episodes(), learner.steps, 40)))
        pairs = [(result.loss, expected["loss"]), (result.gradient_norm, expected["gradientNorm"])]
        found += [*pairs, (result.metrics["entropy"], expected["metrics"]["entropy"])]
    found.append((len(learner.progress().parameters), len(learner.progress().first)))
if dist.get_rank() == 0:
    print(json.dumps(found))
dist.barrier()
dist.destroy_process_group()
