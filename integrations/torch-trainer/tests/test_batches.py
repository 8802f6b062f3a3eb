"""Batches as they come, their lag, and micro-batches."""

from typing import Any

import msgpack
import numpy as np
import pytest

from forge_torch.batches import Episode, episodes_of, lag_of, micro_batches
from forge_torch.wire import Batch, Failure


def typed(kind: int, values: Any) -> msgpack.ExtType:
    return msgpack.ExtType(5, bytes([kind]) + values.tobytes())


def said(size: int, version: int, rollout: int | None = None) -> dict[str, Any]:
    chosen = np.arange(size) >= 2
    return {
        "tokenIds": typed(6, np.arange(size, dtype="<i4")),
        "mask": typed(1, chosen.astype("u1")),
        "logprobs": typed(8, np.where(chosen, -0.5, 0).astype("<f4")),
        "versions": typed(6, np.where(chosen, version, -1).astype("<i4")),
        **({} if rollout is None else {"rollout": rollout}),
    }


def batch(groups: list[tuple[list[dict[str, Any]], list[Any]]], bound: float = 2) -> Batch:
    payloads = [
        msgpack.packb({"schemaVersion": 3, "index": i, "episodes": episodes}) for i, (episodes, _) in enumerate(groups)
    ]
    stated = [{"index": i, "advantages": advantages} for i, (_, advantages) in enumerate(groups)]
    return Batch({"version": 3, "groups": stated, "statistics": {}}, payloads, bound)


def test_numbers_rollouts_through_groups_and_leaves_out_what_is_not_trained() -> None:
    parts = [said(5, 3, 0), said(6, 3, 0), said(4, 3, 1)]
    found = episodes_of(batch([(parts, [1, 1, None]), ([said(7, 3), said(5, 3)], [-1, np.float32(0.5).item()])]))
    assert [(len(one.tokens), one.rollout, one.advantages[-1]) for one in found] == [
        (5, 0, 1),
        (6, 0, 1),
        (7, 2, -1),
        (5, 3, 0.5),
    ]


def test_refuses_a_group_that_is_not_that_of_the_batch() -> None:
    with pytest.raises(Failure, match="BUG_INVARIANT"):
        episodes_of(batch([([said(5, 3)], [1, 1])]))


@pytest.mark.parametrize(
    ("version", "bound", "is_fine"), [(1, 2, True), (0, 2, False), (0, np.inf, True), (4, 2, False)]
)
def test_holds_every_token_to_the_bound(version: int, bound: float, is_fine: bool) -> None:
    episodes = episodes_of(batch([([said(5, 3), said(6, version)], [1, 1])]))
    if is_fine:
        lag = lag_of(episodes, 3, bound)
        assert lag["lag/max"] == 3 - version
        assert lag["lag/mean"] == pytest.approx((3 - version) * 4 / 7)
        assert lag["lag/share/0"] == pytest.approx(3 / 7)
    else:
        with pytest.raises(Failure, match="STALE_EPISODE"):
            lag_of(episodes, 3, bound)


def episode(size: int, rollout: int, start: int = 0) -> Episode:
    chosen = (np.arange(size) >= 2).astype("u1")
    floats = np.full(size, rollout, "f4")
    versions = np.where(chosen == 1, 2, -1).astype("i4")
    return Episode(np.arange(start, start + size, dtype="i4"), chosen, floats, versions, floats, floats, rollout)


def test_cuts_longest_first_and_counts_alike_episodes_once() -> None:
    episodes = [episode(5, 0), episode(9, 1), episode(5, 2), episode(5, 3, start=7), episode(9, 4, start=1)]
    cut = list(micro_batches(episodes, 3, 16))
    assert [tuple(one.tokens.shape) for one in cut] == [(2, 8), (2, 4)]
    assert cut[1].row_of.tolist() == [0, 0, 1]
    assert cut[1].terms["advantages"][:, 1].tolist() == [0, 2, 3]
    assert cut[1].targets[0].tolist() == [1, 2, 3, 4]
    assert cut[1].columns.tolist() == [1, 2, 3]
    assert cut[0].terms["lag"][0].tolist() == [0, 1, 1, 1, 1, 1, 1, 1]
    assert [(one.terms["tokens"], one.terms["sequences"], one.terms["rollouts"]) for one in cut] == [(23, 5, 5)] * 2


def test_lets_an_episode_that_is_too_long_go_alone() -> None:
    assert [tuple(one.tokens.shape) for one in micro_batches([episode(40, 0), episode(5, 1)], 2, 16)] == [
        (1, 39),
        (1, 4),
    ]
