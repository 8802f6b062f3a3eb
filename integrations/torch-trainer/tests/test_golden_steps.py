"""The steps of Forge's own trainer, which this one must take alike to 1e-5."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forge_torch.batches import Episode, micro_batches
from forge_torch.learner import Learner
from forge_torch.losses import SURROGATES, finished

HERE = Path(__file__).parent
MODEL = HERE.parents[2] / "models" / "arithmetic"
GOLDEN = json.loads((HERE / "golden-steps.json").read_text())
REST = {"threads": 1, "recompute": False, "mathMode": "float32", "rollback": {}}


def recipe(algorithm: dict[str, Any]) -> dict[str, Any]:
    trainer = GOLDEN["trainer"]
    # A single correction may stand for a list of one, as the schema of recipes makes of it.
    corrections = algorithm.get("correction", [])
    listed = corrections if isinstance(corrections, list) else [corrections]
    return {
        "algorithm": {**algorithm, "correction": listed},
        "trainer": {**trainer, **REST},
        "steps": trainer["steps"],
        "sampling": {"temperature": GOLDEN["temperature"]},
    }


def episodes() -> list[Episode]:
    def one(said: dict[str, Any]) -> Episode:
        floats = {name: np.array(said[name], np.float32) for name in ("logprobs", "referenceLogprobs")}
        return Episode(
            tokens=np.array(said["tokenIds"], np.int32),
            mask=np.array(said["mask"], np.uint8),
            logprobs=floats["logprobs"],
            versions=np.array(said["versions"], np.int32),
            reference=floats["referenceLogprobs"],
            advantages=np.broadcast_to(np.array(said["advantage"], np.float32), len(said["tokenIds"])),
            rollout=said["rollout"],
        )

    return [one(said) for said in GOLDEN["episodes"]]


def close(found: float, expected: float) -> bool:
    return abs(found - expected) <= 1e-5 * max(1.0, abs(expected))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: json.dumps(case["algorithm"]))
def test_takes_the_steps_of_our_trainer(case: dict[str, Any]) -> None:
    learner = Learner(str(MODEL), recipe(case["algorithm"]), torch.device("cpu"))
    learner.steps = GOLDEN["version"]
    for expected in case["steps"]:
        result = learner.step(list(micro_batches(episodes(), learner.steps, 40)))
        found = {"loss": result.loss, "gradientNorm": result.gradient_norm, **finished(result.metrics)}
        wanted = {"loss": expected["loss"], "gradientNorm": expected["gradientNorm"], **expected["metrics"]}
        assert found.keys() == wanted.keys()
        far = {name: (found[name], wanted[name]) for name in wanted if not close(found[name], wanted[name])}
        assert far == {}


def test_covers_every_algorithm() -> None:
    assert {case["algorithm"]["name"] for case in GOLDEN["cases"]} == set(SURROGATES)
