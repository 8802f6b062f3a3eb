"""The model being trained, whole or sharded over the ranks of a job, and its optimizer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import AutoModelForCausalLM

from .batches import MicroBatch, terms_of
from .losses import policy_loss
from .wire import Failure


@dataclass(frozen=True)
class Progress:
    """Parameters and moments after so many steps, by the names of Hugging Face."""

    step: int
    parameters: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]


@dataclass(frozen=True)
class Result:
    """A step on a batch."""

    loss: float
    gradient_norm: float
    learning_rate: float
    mismatch: float
    metrics: dict[str, float]


def learning_rate_at(step: int, plan: Mapping[str, Any], steps: int) -> float:
    """The rate of update `step`, of which 0 is the first."""
    peak, warm = float(plan["learningRate"]), int(plan["warmupSteps"])
    if step < warm:
        return peak * (step + 1) / warm
    done = min(1.0, (step - warm) / max(1, steps - warm))
    course = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}
    return peak * course[plan["schedule"]]


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _whole(tensor: Tensor) -> Tensor:
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


class Learner:
    """A policy that takes optimizer steps. Every rank of a job makes the same calls."""

    def __init__(self, folder: str, recipe: Mapping[str, Any], device: torch.device) -> None:
        self.recipe, self.plan, self.device = recipe, recipe["trainer"], device
        self.ranks = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if self.ranks > 1 else 0
        torch.set_num_threads(self.plan["threads"])
        torch.use_deterministic_algorithms(True, warn_only=device.type != "cpu")
        load: Any = AutoModelForCausalLM.from_pretrained
        self.model = load(folder, dtype=torch.float32, attention_dropout=0.0, local_files_only=True)
        self.model.to(device).train()
        if self.plan["recompute"]:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        if self.ranks > 1:
            mesh = init_device_mesh(device.type, (self.ranks,))
            for part in (*self.model.model.layers, self.model):
                fully_shard(part, mesh=mesh)
        self.named = dict(self.model.named_parameters())
        self.first = {name: torch.zeros_like(one.detach()) for name, one in self.named.items()}
        self.second = {name: torch.zeros_like(one.detach()) for name, one in self.named.items()}
        self.steps = 0

    def progress(self) -> Progress:
        """All of it, gathered from every rank."""
        groups = (self.named, self.first, self.second)
        return Progress(self.steps, *({name: _whole(one) for name, one in group.items()} for group in groups))

    @torch.no_grad()
    def restore(self, progress: Progress) -> None:
        for group, given in (
            (self.named, progress.parameters),
            (self.first, progress.first),
            (self.second, progress.second),
        ):
            if missing := set(group) ^ set(given):
                raise Failure("SHAPE_MISMATCH", f"tensors {sorted(missing)[:3]} are not in both model and state")
            for name, tensor in group.items():
                value = given[name].to(self.device, torch.float32)
                if isinstance(tensor, DTensor):
                    value = distribute_tensor(
                        value, tensor.device_mesh, tensor.placements, src_data_rank=None
                    ).to_local()
                _local(tensor).copy_(value)
        self.steps = progress.step

    def step(self, batches: list[MicroBatch]) -> Result:
        """One update on the micro-batches of a batch; none, and everything as before, when it goes wrong."""
        rate = learning_rate_at(self.steps, self.plan, self.recipe["steps"])
        sums, mismatch = self._differentiate(batches)
        gradients = {name: _local(one.grad) for name, one in self.named.items() if one.grad is not None}
        squares = sum((one.double().square().sum() for one in gradients.values()), torch.zeros((), dtype=torch.double))
        norm = math.sqrt(self._reduced(squares.reshape(1).to(self.device))[0])
        loss = sums.pop("loss")
        self._check(loss, norm, sums)
        self._update(gradients, rate, min(1.0, self.plan["maxGradientNorm"] / norm) if norm > 0 else 1.0)
        self.steps += 1
        return Result(loss, norm, rate, mismatch, sums)

    def _differentiate(self, batches: list[MicroBatch]) -> tuple[dict[str, float], float]:
        self.model.zero_grad()
        totals: dict[str, Tensor] = {}
        mismatch = torch.zeros(1, device=self.device, dtype=torch.double)
        # Every rank makes as many passes; what is left over is a repetition that counts nothing.
        for first in range(0, len(batches), self.ranks):
            counts = first + self.rank < len(batches)
            batch = batches[first + self.rank] if counts else batches[0]
            logprobs, entropy = self._forward(batch)
            terms = terms_of(batch, logprobs, entropy)
            loss, metrics = policy_loss(terms, self.recipe["algorithm"])
            # FSDP takes the mean over ranks, the batch is a sum.
            torch.autograd.backward(loss * self.ranks * counts)
            for name, value in {"loss": loss, **metrics}.items():
                totals[name] = totals.get(name, 0) + value.detach().double() * counts
            own = (terms.lag == 0) & (batch.versions.to(self.device) >= 0)
            distances = torch.where(own, (terms.logprobs.detach() - terms.behaviour).abs(), 0.0)
            mismatch = torch.maximum(mismatch, distances.max().double())
        summed = self._reduced(torch.stack(list(totals.values())))
        if self.ranks > 1:
            dist.all_reduce(mismatch, dist.ReduceOp.MAX)
        return dict(zip(totals, summed, strict=True)), float(mismatch)

    def _forward(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Log-probs of the trained tokens, and entropies there. Shapes: [D, T]."""
        tokens, targets = batch.tokens.to(self.device), batch.targets.to(self.device)
        columns = batch.columns.to(self.device)
        is_rough = self.plan["mathMode"] == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=is_rough):
            output = self.model(input_ids=tokens, use_cache=False, logits_to_keep=columns)
        scores = torch.log_softmax(output.logits.float() / (self.recipe["sampling"]["temperature"] or 1), -1)
        chosen = scores.gather(-1, targets[:, columns, None])[..., 0]
        with torch.set_grad_enabled(self.recipe["algorithm"].get("entropy", {}).get("bonus", 0) > 0):
            entropy = -(scores.exp() * scores).sum(-1)
        empty = torch.zeros(tokens.shape, device=self.device)
        return empty.index_copy(1, columns, chosen), empty.index_copy(1, columns, entropy)

    def _reduced(self, sums: Tensor) -> list[float]:
        if self.ranks > 1:
            dist.all_reduce(sums)
        return [float(one) for one in sums]

    def _check(self, loss: float, norm: float, metrics: Mapping[str, float]) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            message = f"train step {self.steps}: loss {loss}, gradient norm {norm}; nothing was updated"
            raise Failure("NUMERIC_NON_FINITE", message)
        limits, found = self.plan["rollback"], {"maxGradientNorm": norm, "maxKl": metrics["kl_behaviour"]}
        for name, value in found.items():
            if value > limits.get(name, math.inf):
                message = f"train step {self.steps}: {value} is beyond {name} {limits[name]}; nothing was updated"
                raise Failure("NUMERIC_LIMIT_EXCEEDED", message)

    @torch.no_grad()
    def _update(self, gradients: Mapping[str, Tensor], rate: float, scale: float) -> None:
        """AdamW with decoupled decay; norms and biases do not decay."""
        (beta1, beta2), updates = self.plan["betas"], self.steps + 1
        corrected = rate / (1 - beta1**updates)
        correction = 1 / math.sqrt(1 - beta2**updates)
        for name, gradient in gradients.items():
            weight, first, second = (_local(group[name]) for group in (self.named, self.first, self.second))
            gradient.mul_(scale)
            first.mul_(beta1).add_(gradient, alpha=1 - beta1)
            second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            if self.named[name].ndim > 1:
                weight.mul_(1 - rate * self.plan["weightDecay"])
            weight.addcdiv_(first, second.sqrt().mul_(correction).add_(self.plan["epsilon"]), value=-corrected)
