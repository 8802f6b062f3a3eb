"""Episodes of a batch, checked and cut into micro-batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .losses import Terms
from .wire import Batch, Failure, decode

LARGEST_LAG = 16


@dataclass(frozen=True)
class Episode:
    """An episode that is trained on. Shapes: all [T]."""

    tokens: np.ndarray
    mask: np.ndarray
    logprobs: np.ndarray
    versions: np.ndarray
    reference: np.ndarray
    advantages: np.ndarray
    rollout: int

    @property
    def width(self) -> int:
        """Predicted tokens: the first of an episode is never predicted."""
        return len(self.tokens) - 1

    @property
    def trained(self) -> int:
        return int(self.mask[1:].sum())


def episodes_of(batch: Batch) -> list[Episode]:
    """The episodes that are trained on, in the order of the batch; rollouts are numbered through all groups."""
    found, rollout = [], -1
    for stated, payload in zip(batch.message["groups"], batch.payloads, strict=True):
        group = decode(payload, 3)
        if group["index"] != stated["index"] or len(group["episodes"]) != len(stated["advantages"]):
            raise Failure("BUG_INVARIANT", f"batch {batch.message['version']} and group {group['index']} differ")
        before: int | None = None
        for i, (one, advantage) in enumerate(zip(group["episodes"], stated["advantages"], strict=True)):
            part = one.get("rollout")
            rollout += i == 0 or part is None or part != before
            before = part
            if advantage is None:
                continue
            size, reference = len(one["tokenIds"]), one.get("referenceLogprobs")
            found.append(
                Episode(
                    one["tokenIds"],
                    one["mask"],
                    one["logprobs"],
                    one["versions"],
                    np.zeros(size, np.float32) if reference is None else reference,
                    np.broadcast_to(np.asarray(advantage, np.float32), size),
                    rollout,
                )
            )
    return found


def lag_of(episodes: list[Episode], version: int, bound: float) -> dict[str, float]:
    """Age of the trained tokens, in versions; one older than the bound, or newer, ends the step."""
    lags = np.concatenate([version - one.versions[one.mask == 1] for one in episodes])
    if lags.max() > bound or lags.min() < 0:
        wrong = lags[(lags > bound) | (lags < 0)][0]
        message = f"a token of lag {wrong} reached the gradient of step {version}; expected a lag of 0..{bound}"
        raise Failure("STALE_EPISODE", message)
    shares = np.bincount(np.minimum(lags, LARGEST_LAG)) / len(lags)
    named = {f"lag/share/{n}{'+' * (n == LARGEST_LAG)}": float(share) for n, share in enumerate(shares) if share}
    return {"lag/mean": float(lags.mean()), "lag/max": float(lags.max()), **named}


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model, and the episodes that share them. Shapes: tokens, targets [D, T]; row_of [B]."""

    tokens: Tensor
    targets: Tensor
    # Positions at which some row is trained.
    columns: Tensor
    row_of: Tensor
    versions: Tensor
    terms: dict[str, Any]


def _grid(name: str, episodes: list[Episode], fill: int, skip: int) -> Tensor:
    """A field of episodes side by side, without its first entries, padded to the longest. Shapes: [E, T]."""
    filled = np.full((len(episodes), max(one.width for one in episodes)), fill, getattr(episodes[0], name).dtype)
    for row, one in zip(filled, episodes, strict=True):
        row[: one.width] = getattr(one, name)[skip : one.width + skip]
    return torch.from_numpy(filled)


def micro_batches(episodes: list[Episode], version: int, most_tokens: int) -> Iterator[MicroBatch]:
    """Longest first, of at most so many padded tokens; a longer episode goes alone, those alike as one row."""
    rollouts = np.unique([one.rollout for one in episodes], return_inverse=True)[1]
    per_rollout = np.bincount(rollouts, [one.trained for one in episodes])
    counts = {"tokens": int(per_rollout.sum()), "sequences": len(episodes), "rollouts": len(per_rollout)}
    alike: dict[bytes, list[int]] = {}
    for i in sorted(range(len(episodes)), key=lambda i: -episodes[i].width):
        alike.setdefault(episodes[i].tokens.tobytes() + b"/" + episodes[i].mask.tobytes(), []).append(i)
    rows = list(alike.values())
    while rows:
        width = episodes[rows[0][0]].width
        taken, rows = rows[: max(1, most_tokens // width)], rows[max(1, most_tokens // width) :]
        chosen = [i for same in taken for i in same]
        inside, firsts = [episodes[i] for i in chosen], [episodes[same[0]] for same in taken]
        versions = _grid("versions", inside, -1, 1)
        yield MicroBatch(
            _grid("tokens", firsts, 0, 0).long(),
            _grid("tokens", firsts, 0, 1).long(),
            _grid("mask", firsts, 0, 1).any(0).nonzero()[:, 0],
            torch.tensor([row for row, same in enumerate(taken) for _ in same]),
            versions,
            {
                **{name: _grid(key, inside, 0, 1).float() for name, key in FIELDS.items()},
                "lag": torch.where(versions < 0, 0, version - versions).float(),
                "rollout_tokens": torch.tensor([per_rollout[rollouts[i]] for i in chosen]).float(),
                **counts,
            },
        )


FIELDS = {"behaviour": "logprobs", "reference": "reference", "advantages": "advantages", "mask": "mask"}


def terms_of(batch: MicroBatch, logprobs: Tensor, entropy: Tensor) -> Terms:
    """The terms of the loss, with what the model says of the rows. Shapes: logprobs and entropy [D, T]."""
    device = logprobs.device
    fed: dict[str, Any] = {
        name: one.to(device) if isinstance(one, Tensor) else one for name, one in batch.terms.items()
    }
    rows = batch.row_of.to(device)
    return Terms(logprobs=logprobs[rows], entropy=entropy[rows], **fed)
