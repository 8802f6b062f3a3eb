"""Messages as TypeScript writes them, and as it reads ours."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forge_torch.wire import Failure, decode, encode

FILES = sorted((Path(__file__).parents[3] / "shared" / "contracts" / "golden").glob("*.json"))
# Messages in JSON begin with a brace, of which no message in msgpack does.
GOLDEN = [file for file in FILES if not json.loads(file.read_text())["bytes"].startswith("7b")]


def plain(value: Any) -> Any:
    """A message as the golden files have it: typed arrays and bytes under the name of their type."""
    if isinstance(value, np.ndarray):
        return {str(value.dtype): value.tolist()}
    if isinstance(value, bytes):
        return {"bin": list(value)}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def near(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(near(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(near, found, expected))
    # Numbers of a Float32Array are written as the file rounds them.
    return bool(found == expected or (isinstance(expected, float) and abs(found - expected) < 1e-6 * abs(expected)))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_reads_every_golden_message(file: Path) -> None:
    golden = json.loads(file.read_text())
    assert near(plain(decode(bytes.fromhex(golden["bytes"]))), golden["value"])


@pytest.mark.parametrize("kind", ["weights-announcement", "telemetry-step", "telemetry-run"])
def test_what_it_writes_reads_as_it_was(kind: str) -> None:
    value = json.loads(next(file for file in GOLDEN if file.stem.startswith(kind)).read_text())["value"]
    assert plain(decode(encode(value))) == value


def test_writes_large_numbers_as_javascript_reads_them() -> None:
    # A whole number of 64 bits would be read as a bigint, which no schema takes.
    assert encode({"sizeBytes": 2**40}).hex() == "81a973697a654279746573cb4270000000000000"
    assert encode(2**31 - 1).hex() == "ce7fffffff"


def test_reads_the_versions_beside_its_own_and_no_other() -> None:
    assert decode(encode({"schemaVersion": 5}), 4) == {"schemaVersion": 5}
    with pytest.raises(Failure, match="found version 6, expected 4") as failed:
        decode(encode({"schemaVersion": 6}), 4)
    assert failed.value.reason == "wrong-version"


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01", bytes.fromhex("c7020901")])
def test_refuses_what_is_no_message(data: bytes) -> None:
    with pytest.raises(Failure) as failed:
        decode(data)
    assert failed.value.code == "CONTRACT_INVALID_MESSAGE"
