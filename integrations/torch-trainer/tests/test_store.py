"""Files as Forge lays them out."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from forge_torch.learner import Progress, learning_rate_at
from forge_torch.store import Store, check_seal, seal_of, write_safetensors
from forge_torch.wire import Failure

MODEL = Path(__file__).parents[3] / "models" / "arithmetic"
PLAN = {"publishDtype": "F32", "keepVersions": 2, "keepSeconds": 0, "keepCheckpoints": 2}
ORIGIN = {"parent": None, "trained": None}


def progress(step: int, value: float = 1.0) -> Progress:
    named = {"b": torch.full((2, 3), value), "a": torch.tensor([step, 0.5])}
    return Progress(
        step, named, {name: one + 1 for name, one in named.items()}, {name: one * 2 for name, one in named.items()}
    )


def store(folder: Path, **plan: object) -> Store:
    return Store(folder, MODEL, {**PLAN, **plan}, "f" * 64)


def same(one: Progress, other: Progress) -> bool:
    groups = ((one.parameters, other.parameters), (one.first, other.first), (one.second, other.second))
    return one.step == other.step and all(torch.equal(a[name], b[name]) for a, b in groups for name in a)


def test_writes_the_bytes_that_forge_writes(tmp_path: Path) -> None:
    model = MODEL / "model.safetensors"
    seal, _ = write_safetensors(tmp_path / "copy", load_file(model), "F32", {"format": "pt"})
    assert (tmp_path / "copy").read_bytes() == model.read_bytes()
    assert seal == seal_of(model)


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_goes_on_from_what_it_published(tmp_path: Path, dtype: str) -> None:
    made, files = progress(3, 1 / 3), store(tmp_path, publishDtype=dtype)
    announced = files.publish(made, 2, ORIGIN, set())
    check_seal(Path(announced["path"]), announced)
    assert same(files.load(3, 2, announced), made)
    [manifest] = files.manifests()
    assert [(one["name"], one["dtype"], one["shape"]) for one in manifest["tensors"]] == [
        ("a", dtype, [2]),
        ("b", dtype, [2, 3]),
    ]
    places = {one["name"]: one["offset"] for one in manifest["tensors"]}
    read = Path(announced["path"]).read_bytes()[places["b"] :][: manifest["tensors"][1]["sizeBytes"]]
    bits = torch.frombuffer(bytearray(read), dtype=torch.float32 if dtype == "F32" else torch.bfloat16)
    assert torch.equal(bits, made.parameters["b"].flatten().to(bits.dtype))


def test_keeps_the_newest_versions_and_those_in_use(tmp_path: Path) -> None:
    files = store(tmp_path)
    for step in range(6):
        files.publish(progress(step), 1, ORIGIN, {1})
    assert [one["version"] for one in files.manifests()] == [1, 4, 5]
    assert len(list(files.weights.glob("*.optimizer.seal"))) == 3
    blobs = {file.name for file in files.weights.iterdir() if len(file.name) > 70}
    assert blobs == {f"{one['sha256']}.safetensors" for one in files.manifests()}
    assert same(files.kept(1, None), progress(1))
    with pytest.raises(Failure, match="version 2 is not kept"):
        files.kept(2, None)


def test_notices_what_is_damaged(tmp_path: Path) -> None:
    files = store(tmp_path)
    announced = files.publish(progress(3), 2, ORIGIN, set())
    moments = files.weights / "v3-e2.optimizer.safetensors"
    whole = moments.read_bytes()
    moments.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Failure, match=r"CONTRACT_WEIGHTS_CORRUPT: .*v3-e2.optimizer.safetensors: found"):
        files.load(3, 2, announced)


def test_refuses_a_value_that_is_too_large_for_half_precision(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="NUMERIC_NON_FINITE"):
        write_safetensors(tmp_path / "half", {"a": torch.tensor([70_000.0])}, "F16")


def test_writes_checkpoints_that_others_can_go_on_from(tmp_path: Path) -> None:
    files = store(tmp_path)
    run = {"id": "r", "seed": 1, "nextIndex": 9, "trained": 4, "metrics": {}}
    for step in (2, 4, 6):
        files.checkpoint(progress(step), 1, "inf", run)
    assert sorted(file.name for file in files.checkpoints.iterdir()) == ["step-4", "step-6"]
    about = json.loads((files.checkpoint_path(6) / "checkpoint.json").read_text())
    assert (about["step"], about["maxStaleness"], about["model"], about["run"]) == (6, "inf", "f" * 64, run)
    named = {file.name for file in files.checkpoint_path(6).iterdir()} - {"checkpoint.json"}
    assert (
        set(about["files"]) == named >= {"config.json", "model.safetensors", "optimizer.safetensors", "tokenizer.json"}
    )
    assert same(files.load_checkpoint(6, "r"), progress(6))
    with pytest.raises(Failure, match="another run"):
        files.load_checkpoint(6, "other")


def test_follows_the_schedules_of_our_trainer() -> None:
    plan = {"learningRate": 1.0, "warmupSteps": 2, "schedule": "linear"}
    assert [learning_rate_at(step, plan, 6) for step in range(7)] == [0.5, 1, 1, 0.75, 0.5, 0.25, 0]
    cosine = {**plan, "schedule": "cosine"}
    assert learning_rate_at(4, cosine, 6) == pytest.approx(0.5)
    assert learning_rate_at(99, {**plan, "schedule": "constant"}, 6) == 1
