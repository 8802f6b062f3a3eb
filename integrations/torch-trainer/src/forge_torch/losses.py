"""The losses of a recipe's `algorithm` section, by the same names and with the same values as Forge's own."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

LARGEST_LOG_RATIO = 20.0
BISECTIONS = 24
SMALLEST_CHANCE = 1e-7

Options = Mapping[str, Any]
TokenLoss = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True)
class Terms:
    """View of a micro-batch that a loss has. Shapes: [B, T], but rollout_tokens [B]; counts are of the whole batch."""

    logprobs: Tensor
    entropy: Tensor
    behaviour: Tensor
    reference: Tensor
    advantages: Tensor
    lag: Tensor
    mask: Tensor
    rollout_tokens: Tensor
    tokens: int
    sequences: int
    rollouts: int

    @property
    def old(self) -> Tensor:
        """Log-probs of the policy before the step, which is one update."""
        return self.logprobs.detach()

    def masked(self) -> "Terms":
        """The terms with zeros wherever the mask is 0, where some are unknown."""

        def chosen(x: Tensor) -> Tensor:
            return torch.where(self.mask > 0, x, 0.0)

        return replace(
            self,
            logprobs=chosen(self.logprobs),
            entropy=chosen(self.entropy),
            behaviour=chosen(self.behaviour),
            reference=chosen(self.reference),
            advantages=chosen(self.advantages),
            lag=chosen(self.lag),
        )

    def sum(self, x: Tensor) -> Tensor:
        """Sum over the chosen tokens of each sequence. Shapes: [B, T] -> [B, 1]."""
        return (x * self.mask).sum(1, keepdim=True)

    def mean(self, x: Tensor) -> Tensor:
        """Mean over the chosen tokens of each sequence. Shapes: [B, T] -> [B, 1]."""
        return self.sum(x) / self.mask.sum(1, keepdim=True).clamp(min=1)

    def token_mean(self, x: Tensor) -> Tensor:
        """This micro-batch's part of the mean over the batch's tokens."""
        return self.sum(x).sum() / max(self.tokens, 1)


def batch_mean(kind: str, tokens: int) -> Callable[[Tensor, Terms], Tensor]:
    """A per-token value to this micro-batch's part of its mean over the batch."""
    means: dict[str, Callable[[Tensor, Terms], Tensor]] = {
        "token": lambda x, of: of.token_mean(x),
        "sequence": lambda x, of: of.mean(x).sum() / max(of.sequences, 1),
        "rollout": lambda x, of: (of.sum(x)[:, 0] / of.rollout_tokens.clamp(min=1)).sum() / max(of.rollouts, 1),
        "constant": lambda x, of: of.sum(x).sum() / (max(of.sequences, 1) * tokens),
    }
    return means[kind]


def _clipped(ratio: Tensor, advantages: Tensor, options: Options, low: float, high: float | None) -> TokenLoss:
    low = options.get("clipEpsilon", low)
    high = options.get("clipEpsilonHigh", low if high is None else high)
    free, bounded = ratio * advantages, ratio.clamp(1 - low, 1 + high) * advantages
    surrogate, clipped = torch.minimum(free, bounded), (bounded < free).float()
    if (dual := options.get("dualClip")) is not None:
        floor = advantages * dual
        below = surrogate < torch.where(advantages < 0, floor, surrogate)
        surrogate, clipped = torch.where(below, floor, surrogate), torch.maximum(clipped, below.float())
    return -surrogate, {"clip_fraction": clipped}


def _token_ratio(of: Terms, anchor: Tensor, options: Options, high: float | None = None) -> TokenLoss:
    return _clipped((of.logprobs - anchor).exp(), of.advantages, options, 0.2, high)


def _sequence_ratio(of: Terms, anchor: Tensor, options: Options, low: float, high: float) -> TokenLoss:
    whole = of.mean(of.logprobs - anchor).exp().detach()
    return _clipped(whole * (of.logprobs - of.old).exp(), of.advantages, options, low, high)


def _cispo(of: Terms, anchor: Tensor, options: Options) -> TokenLoss:
    ratio = (of.logprobs - anchor).exp().detach()
    weight = ratio.clamp(options.get("ratioLow", 0), options.get("ratioHigh", 5))
    return -weight * of.advantages * of.logprobs, {"clip_fraction": (ratio != weight).float()}


def _reinforce(of: Terms, anchor: Tensor, _: Options) -> TokenLoss:
    weight = (of.logprobs - anchor).exp().clamp(0.1, 10).detach()
    return -of.logprobs * of.advantages * weight, {}


def _sapo(of: Terms, anchor: Tensor, options: Options) -> TokenLoss:
    good, bad = options.get("positiveTemperature", 1), options.get("negativeTemperature", 1.05)
    temperature = torch.where(of.advantages > 0, float(good), float(bad))
    gate = torch.sigmoid(temperature * ((of.logprobs - anchor).exp() - 1))
    return -of.advantages * gate * 4 / temperature, {}


def _gmpo(of: Terms, anchor: Tensor, options: Options) -> TokenLoss:
    bound = options.get("clipLogRatio", 0.4)
    ratio = of.logprobs - anchor
    bounded = ratio.clamp(-bound, bound)
    counted = torch.where(of.advantages < 0, torch.maximum(ratio, bounded), torch.minimum(ratio, bounded))
    loss = -of.mean(counted).exp() * of.mean(of.advantages) * of.mask
    return loss, {"clip_fraction": (counted != ratio).float()}


def _vespo(of: Terms, anchor: Tensor, options: Options) -> TokenLoss:
    ratio = of.sum(of.logprobs - anchor).clamp(math.log(1e-8), LARGEST_LOG_RATIO).detach()

    def weight(k: float, scale: float) -> Tensor:
        return (scale + ratio * k - ratio.exp() * scale).exp()

    good = weight(options.get("positiveK", 2), options.get("positiveLambda", 3))
    bad = weight(options.get("negativeK", 3), options.get("negativeLambda", 2))
    return -torch.where(of.advantages >= 0, good, bad) * of.advantages * of.logprobs, {}


def _dro(of: Terms, anchor: Tensor, options: Options) -> TokenLoss:
    squared = (of.logprobs - anchor) ** 2
    return -(of.logprobs * of.advantages - squared * (options.get("beta", 0.05) / 2)), {}


def _dppo(of: Terms, anchor: Tensor, options: Options) -> TokenLoss:
    now, before = of.old.exp(), anchor.exp()

    def part(p: Tensor, q: Tensor) -> Tensor:
        return p * (p.clamp(min=SMALLEST_CHANCE) / q.clamp(min=SMALLEST_CHANCE)).log()

    is_kl = options.get("divergence", "tv") == "kl"
    distance = part(before, now) + part(1 - before, 1 - now) if is_kl else (now - before).abs()
    threshold = options.get("threshold", 0.05 if is_kl else 0.2)
    left = ((of.advantages * (now - before) > 0) & (distance > threshold)).float()
    weight = (of.logprobs - anchor).exp().clamp(max=options.get("ratioBound", 20)).detach()
    loss = -(of.logprobs - of.old).exp() * weight * (1 - left) * of.advantages
    penalty = (of.logprobs - anchor) ** 2 * float(options.get("squaredPenalty", 0))
    return loss + penalty, {"clip_fraction": left}


def _decoupled(of: Terms, _: Tensor, options: Options) -> TokenLoss:
    proximal = of.old
    if options.get("proximal") == "log-linear":
        proximal = of.behaviour + of.lag / (of.lag + 1) * (of.old - of.behaviour)
    loss, metrics = _token_ratio(of, proximal, options)
    weight, bound = (proximal - of.behaviour).exp(), options.get("weightBound", 5)
    return loss * weight.clamp(max=bound), {**metrics, "masked_proximal": (weight > bound).float()}


Surrogate = Callable[[Terms, Tensor, Options], TokenLoss]

OF_TOKENS = (
    *("grpo", "dr-grpo", "rloo", "maxrl", "reinforce++", "reinforce++-baseline", "remax", "opo", "opd", "gdpo"),
    "pass-at-k",
)
SURROGATES: dict[str, Surrogate] = {
    **dict.fromkeys(OF_TOKENS, _token_ratio),
    "dapo": lambda of, anchor, options: _token_ratio(of, anchor, options, 0.28),
    "gspo": lambda of, anchor, options: _sequence_ratio(of, anchor, options, 3e-4, 4e-4),
    "luspo": lambda of, anchor, options: _sequence_ratio(of, anchor, options, 2e-3, 2.5e-3),
    "cispo": _cispo,
    "sapo": _sapo,
    "gmpo": _gmpo,
    "dppo": _dppo,
    "vespo": _vespo,
    "dro": _dro,
    "decoupled-ppo": _decoupled,
    "reinforce": _reinforce,
}
NORMALIZATION = {"gspo": "sequence", "sapo": "sequence", "dr-grpo": "constant"}


def _correction(of: Terms, options: Options) -> tuple[Tensor, Tensor]:
    """Weight of each token, and 1 where it is left out or its weight cut. Shapes: [B, T] or [B, 1]; no gradient."""
    name = options["name"]
    mismatch = of.old - of.behaviour

    def ratio(log: Tensor) -> Tensor:
        return log.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()

    def within(value: Tensor, low: float, high: float) -> Tensor:
        least, most = float(options.get("low", low)), float(options.get("high", high))
        return ((value >= least) & (value <= most)).float()

    if name == "tis":
        found = ratio(mismatch if options.get("level", "token") == "token" else of.sum(mismatch))
        bound = options.get("bound", 2)
        return found.clamp(max=bound), (found > bound).float()
    if name == "opsm":
        far = of.mean(of.behaviour - of.old) > options.get("threshold", 0.5)
        kept = 1 - ((of.mean(of.advantages) < 0) & far).float()
    elif name == "icepop":
        kept = within(ratio(mismatch), 0.5, 5)
        return ratio(mismatch) * kept, 1 - kept
    elif name == "sequence-mask":
        kept = within(ratio(of.sum(mismatch)), 0.5, 2)
    elif name == "geometric-mask":
        kept = within(ratio(of.mean(mismatch)), 0.99, 1.01)
    else:
        kept = 1 - (of.sum(1 - within(ratio(mismatch), 1e-4, 100)) > 0).float()
    return kept, 1 - kept


def _divergence(of: Terms, options: Options) -> Tensor:
    log_ratio = of.logprobs - of.reference
    k2, limited = log_ratio**2 / 2, (-log_ratio).clamp(max=LARGEST_LOG_RATIO)
    k3 = limited.exp() - limited - 1
    kinds = {"k1": log_ratio, "k2": k2, "k3": k3, "k3+": k2 - k2.detach() + k3.detach()}
    estimate, clamp = kinds[options.get("klEstimator", "k3")], options.get("klClamp")
    return estimate if clamp is None else estimate.clamp(-clamp, clamp)


def _high_entropy(of: Terms, share: float) -> Tensor:
    """1 for the `share` of each sequence's chosen tokens with the highest entropy, ties included."""
    wanted = of.mask.sum(1, keepdim=True) * share
    values = torch.where(of.mask >= 0.5, of.entropy, -1.0).detach()
    high = values.amax(1, keepdim=True)
    low = torch.zeros_like(high)
    for _ in range(BISECTIONS):
        middle = (low + high) * 0.5
        is_too_high = (values >= middle).float().sum(1, keepdim=True) < wanted
        low, high = torch.where(is_too_high, low, middle), torch.where(is_too_high, middle, high)
    return (values >= low).float()


def _k3(logprobs: Tensor, other: Tensor) -> Tensor:
    return (other - logprobs).exp() - (other - logprobs) - 1


def policy_loss(unmasked: Terms, options: Options) -> tuple[Tensor, dict[str, Tensor]]:
    """This micro-batch's part of the batch's loss, and of its metrics."""
    of, name = unmasked.masked(), options["name"]
    ratio, coefficient = (of.logprobs - of.behaviour).exp(), options.get("klCoefficient", 0)
    shown = {
        **{"entropy": of.entropy, "kl_behaviour": _k3(of.behaviour, of.logprobs)},
        **({"kl_reference": _k3(of.logprobs, of.reference)} if coefficient > 0 or name == "opd" else {}),
        **{"importance_ratio": ratio, "importance_ratio_square": ratio * ratio},
    }
    if name == "grpo" and options.get("loss") == "simple":
        surrogate = (of.logprobs - of.old).exp() * of.advantages
        value = batch_mean("sequence", 1)(_k3(of.logprobs, of.reference) * coefficient - surrogate, of)
    else:
        value, own = _whole_loss(of, options, ratio, coefficient)
        shown |= own
    return value, {key: of.token_mean(one.detach()) for key, one in shown.items()}


def _whole_loss(of: Terms, options: Options, ratio: Tensor, coefficient: float) -> TokenLoss:
    name, corrections = options["name"], list(options.get("correction", ()))
    if (bound := options.get("truncatedImportanceSampling")) is not None:
        corrections.append({"name": "tis", "bound": bound})
    weighs = any(one["name"] in ("tis", "icepop") for one in corrections)
    anchor = of.old if options.get("ratioTo", "old" if weighs else "behaviour") == "old" else of.behaviour
    loss, shown = SURROGATES[name](of, anchor, options)
    for one in corrections:
        weight, masked = _correction(of, one)
        loss = loss * weight
        shown["masked_" + one["name"].replace("-", "_")] = masked
    entropy = options.get("entropy", {})
    if (share := entropy.get("topShare")) is not None:
        loss = loss * _high_entropy(of, share)
    if coefficient > 0 and options.get("klIn", "loss") == "loss":
        loss = loss + _divergence(of, options) * coefficient * (ratio if options.get("klWeighted") else 1)
    if (bonus := entropy.get("bonus", 0)) > 0:
        target = entropy.get("target")
        scale = 1.0 if target is None else (1 - of.mean(of.entropy) / target).clamp(0, 1).detach()
        loss = loss - of.entropy * bonus * scale
    kind = options.get("normalization", NORMALIZATION.get(name, "token"))
    if name == "luspo":
        return batch_mean("constant", 1)(loss, of), shown
    tokens = options.get("normalizationTokens", 1)
    return batch_mean("sequence" if name == "gmpo" else kind, tokens)(loss, of), shown


def finished(sums: Mapping[str, float]) -> dict[str, float]:
    """The metrics of a batch from the sums over its micro-batches."""
    metrics = dict(sums)
    square, mean = metrics.pop("importance_ratio_square"), metrics["importance_ratio"]
    return {**metrics, "effective_sample_size": mean * mean / square if square > 0 else 1.0}
