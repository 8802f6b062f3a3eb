"""Files of a run: published versions with their moments, checkpoints and the final model, as Forge lays them out."""

import hashlib
import json
import os
import re
import shutil
import struct
import time
import uuid
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from .learner import Progress
from .wire import Failure

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
MODEL_FILES = (
    *("config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json", "chat_template.jinja"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model"),
)
VERSIONED = re.compile(r"v(\d+)-e\d+\..*")
BLOB = re.compile(r"([0-9a-f]{64})\.safetensors")


def corrupt(file: Path, problem: str) -> Failure:
    return Failure("CONTRACT_WEIGHTS_CORRUPT", f"{file}: {problem}")


def seal_of(file: Path) -> dict[str, Any]:
    with file.open("rb") as opened:
        return {"sizeBytes": file.stat().st_size, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def check_seal(file: Path, seal: Mapping[str, Any]) -> None:
    if not file.is_file():
        raise corrupt(file, "it is missing")
    if (found := seal_of(file)) != {"sizeBytes": seal["sizeBytes"], "sha256": seal["sha256"]}:
        raise corrupt(file, f"found {found}, expected {dict(seal)}")


def _bytes(tensor: Tensor, dtype: str) -> memoryview:
    cast = tensor.to(DTYPES[dtype]).contiguous()
    if not torch.equal(cast.isfinite(), tensor.isfinite()):
        raise Failure("NUMERIC_NON_FINITE", f"a value is too large for {dtype}; take F32 or BF16 instead")
    return cast.reshape(-1).view(torch.uint8).numpy().data


def write_safetensors(
    file: Path, tensors: Mapping[str, Tensor], dtype: str, metadata: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Writes tensors in name order, so that equal ones give equal bytes; the seal, and the place of each."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    end, size = 0, DTYPES[dtype].itemsize
    for name in sorted(tensors):
        begin, end = end, end + tensors[name].numel() * size
        header[name] = {"dtype": dtype, "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with file.open("wb") as out:
        pieces = (_bytes(tensors[name], dtype) for name in sorted(tensors))
        for piece in chain((memoryview(struct.pack("<Q", len(text)) + text),), pieces):
            digest.update(piece)
            out.write(piece)
    places = [
        {"name": name, "dtype": dtype, "shape": one["shape"], "offset": 8 + len(text) + one["data_offsets"][0]}
        | {"sizeBytes": one["data_offsets"][1] - one["data_offsets"][0]}
        for name, one in header.items()
        if name != "__metadata__"
    ]
    return {"sizeBytes": 8 + len(text) + end, "sha256": digest.hexdigest()}, places


def _replace(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.{uuid.uuid4()}.tmp")
    temporary.write_text(text)
    temporary.replace(file)


def _flush(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)


def _move_directory(source: Path, target: Path) -> None:
    old = target.with_name(f"{target.name}.{uuid.uuid4()}.tmp")
    if target.exists():
        target.rename(old)
    source.rename(target)
    _flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _moments(progress: Progress) -> dict[str, Tensor]:
    first = {f"first.{name}": one for name, one in progress.first.items()}
    return first | {f"second.{name}": one for name, one in progress.second.items()}


def _group(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}


class Store:
    """The files of one run, written by one rank."""

    def __init__(self, directory: Path, source: Path, plan: Mapping[str, Any], fingerprint: str) -> None:
        self.directory, self.source, self.plan, self.fingerprint = directory, source, plan, fingerprint
        self.weights, self.checkpoints = directory / "weights", directory / "checkpoints"
        self.weights.mkdir(parents=True, exist_ok=True)
        self.recent: list[tuple[int, float]] = []

    def publish(self, progress: Progress, epoch: int, origin: Mapping[str, Any], in_use: set[int]) -> dict[str, Any]:
        """Writes a version with its moments, ready to be announced; of older ones those stay that are needed."""
        version, dtype = progress.step, self.plan["publishDtype"]
        stem = f"v{version}-e{epoch}"
        temporary = self.weights / f"{stem}.{uuid.uuid4()}.tmp"
        seal, tensors = write_safetensors(temporary, progress.parameters, dtype)
        about = {"schemaVersion": 1, "version": version, "epoch": epoch, **seal}
        # The manifest comes before the blob: a collector spares every blob that a manifest names.
        _replace(self.weights / f"{stem}.json", json.dumps({**about, **origin, "tensors": tensors}) + "\n")
        blob = self.weights / f"{seal['sha256']}.safetensors"
        temporary.replace(blob)
        moments, own = _moments(progress), self.weights / f"{stem}.optimizer.safetensors"
        if dtype != "F32":
            moments |= {f"parameter.{name}": one for name, one in progress.parameters.items()}
        part = own.with_name(f"{own.name}.{uuid.uuid4()}.tmp")
        moment_seal, _ = write_safetensors(part, moments, "F32")
        part.replace(own)
        _replace(own.with_suffix(".seal"), json.dumps(moment_seal))
        self._collect(version, in_use)
        return {**about, "path": str(blob.resolve())}

    def _collect(self, published: int, in_use: set[int]) -> None:
        now = time.monotonic()
        young = [*self.recent, (published, now)]
        self.recent = [(version, at) for version, at in young if at > now - self.plan["keepSeconds"]]
        names = os.listdir(self.weights)
        versions = {int(found[1]) for name in names if (found := re.fullmatch(r"v(\d+)-e\d+\.json", name))}
        newest = sorted(versions, reverse=True)[: max(2, self.plan["keepVersions"])]
        kept = {*newest, *in_use, *(version for version, _ in self.recent)}
        for name in names:
            if (found := VERSIONED.fullmatch(name)) and int(found[1]) < newest[-1] and int(found[1]) not in kept:
                (self.weights / name).unlink(missing_ok=True)
        used = {one["sha256"] for one in self.manifests()}
        for name in names:
            if (blob := BLOB.fullmatch(name)) and blob[1] not in used:
                (self.weights / name).unlink(missing_ok=True)

    def manifests(self) -> list[dict[str, Any]]:
        """Manifests that are kept, oldest version first."""
        files = [file for file in self.weights.iterdir() if re.fullmatch(r"v\d+-e\d+\.json", file.name)]
        return sorted((json.loads(file.read_text()) for file in files), key=lambda one: (one["version"], one["epoch"]))

    def load(self, version: int, epoch: int, seal: Mapping[str, Any]) -> Progress:
        """A published version, verified."""
        blob = self.weights / f"{seal['sha256']}.safetensors"
        own = self.weights / f"v{version}-e{epoch}.optimizer.safetensors"
        check_seal(blob, seal)
        if not own.with_suffix(".seal").is_file():
            raise corrupt(own.with_suffix(".seal"), "it is missing")
        check_seal(own, json.loads(own.with_suffix(".seal").read_text()))
        moments = load_file(own)
        parameters = _group(moments, "parameter.") or load_file(blob)
        return Progress(version, parameters, _group(moments, "first."), _group(moments, "second."))

    def kept(self, version: int, sha256: str | None) -> Progress:
        """A version that was published, or whose checkpoint there is."""
        found = [one for one in self.manifests() if one["version"] == version and sha256 in (None, one["sha256"])]
        if found:
            return self.load(version, found[-1]["epoch"], found[-1])
        if not self.checkpoint_path(version).exists():
            raise Failure("CONFLICT_STATE", f"version {version} is not kept any more: neither published nor saved")
        return self.load_checkpoint(version)

    def checkpoint_path(self, step: int) -> Path:
        return self.checkpoints / f"step-{step}"

    def load_checkpoint(self, step: int, run_id: str | None = None) -> Progress:
        """A checkpoint, verified: of this model, and of that run where one is named."""
        folder = self.checkpoint_path(step)
        try:
            about = json.loads((folder / "checkpoint.json").read_text())
        except (OSError, ValueError) as error:
            raise corrupt(folder / "checkpoint.json", str(error)) from error
        for name, seal in about["files"].items():
            check_seal(folder / name, seal)
        if self.fingerprint not in ("", about["model"]) or run_id not in (None, (about["run"] or {}).get("id")):
            raise Failure("CONFLICT_STATE", f"{folder}: a checkpoint of another model or another run")
        moments = load_file(folder / "optimizer.safetensors")
        parameters = load_file(folder / "model.safetensors")
        return Progress(step, parameters, _group(moments, "first."), _group(moments, "second."))

    def save_model(self, target: Path, parameters: Mapping[str, Tensor], dtype: str) -> None:
        """Writes a model in Hugging Face layout in place of an older one."""
        temporary = target.with_name(f"{target.name}.{uuid.uuid4()}.tmp")
        temporary.mkdir(parents=True)
        self._write_model(temporary, parameters, dtype)
        _move_directory(temporary, target)

    def _write_model(self, folder: Path, parameters: Mapping[str, Tensor], dtype: str) -> None:
        for name in MODEL_FILES:
            if (self.source / name).is_file():
                shutil.copyfile(self.source / name, folder / name)
        config = json.loads((folder / "config.json").read_text())
        config["dtype" if "dtype" in config else "torch_dtype"] = NAMES[dtype]
        (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        write_safetensors(folder / "model.safetensors", parameters, dtype, {"format": "pt"})

    def checkpoint(self, progress: Progress, epoch: int, bound: Any, run: Mapping[str, Any]) -> None:
        """Writes a checkpoint that is there whole or not at all; older ones make room."""
        target = self.checkpoint_path(progress.step)
        temporary = target.with_name(f"{target.name}.{uuid.uuid4()}.tmp")
        temporary.mkdir(parents=True)
        self._write_model(temporary, progress.parameters, "F32")
        write_safetensors(temporary / "optimizer.safetensors", _moments(progress), "F32")
        files = sorted(temporary.iterdir())
        about = {
            **{"schemaVersion": 1, "step": progress.step, "epoch": epoch, "maxStaleness": bound, "run": run},
            **{"model": self.fingerprint, "files": {file.name: seal_of(file) for file in files}},
        }
        (temporary / "checkpoint.json").write_text(json.dumps(about, indent=2) + "\n")
        for file in (*files, temporary / "checkpoint.json", temporary):
            _flush(file)
        _move_directory(temporary, target)
        names = os.listdir(self.checkpoints)
        steps = sorted((int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name)), reverse=True)
        old = [step for step in steps if step <= progress.step][self.plan["keepCheckpoints"] :]
        for step in old:
            # By a rename first, so that a deletion that is cut short leaves no half checkpoint.
            self.checkpoint_path(step).rename(self.checkpoints / f"step-{step}.old.tmp")
        for leftover in self.checkpoints.glob("step-*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
