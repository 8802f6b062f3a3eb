"""The state of a run in Redis, as docs/wire.md has it: messages, keys and scripts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

TYPED_ARRAY = 5
# The index of a typed array's element type is part of the format.
ELEMENT_TYPES = ("u1", "u1", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<f4", "<f8", "<i8", "<u8")
# One name, as a run has one trainer: a successor is handed the batch its predecessor did not commit.
CONSUMER, CONSUMER_GROUP = "trainer", "forge"
DEAD_AFTER_MS = 2_000
LETTER_BYTES = 65_536
ANNOUNCED = 16
# A Redis that is lost is waited for about a minute: calls may be made twice.
WAIT = Retry(ExponentialBackoff(cap=1), 60)


class Failure(Exception):
    """An error with a code of docs/errors.md."""

    def __init__(self, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.text, self.reason = code, message, reason or code


def _extension(code: int, data: bytes) -> Any:
    if code == TYPED_ARRAY and data[0] < len(ELEMENT_TYPES):
        return np.frombuffer(data, ELEMENT_TYPES[data[0]], offset=1)
    if code == 0:
        return None
    raise Failure("CONTRACT_INVALID_MESSAGE", f"extension {code} is no data", "not-msgpack")


def decode(data: bytes, version: int | None = None) -> Any:
    """The message in `data`, of that version of its schema or a neighbour's; typed arrays are arrays of numpy."""
    try:
        message = msgpack.unpackb(data, ext_hook=_extension, strict_map_key=False)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise Failure("CONTRACT_INVALID_MESSAGE", f"no message in msgpack: {error}", "not-msgpack") from error
    found = message.get("schemaVersion") if isinstance(message, dict) else None
    if version is not None and (not isinstance(found, int) or abs(found - version) > 1):
        raise Failure("CONTRACT_INVALID_MESSAGE", f"found version {found}, expected {version}", "wrong-version")
    return message


def encode(message: Any) -> bytes:
    """A message in msgpack; whole numbers beyond 32 bits go as floats, as JavaScript reads them."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**31:
            return float(value)
        return value

    packed: bytes = msgpack.packb(plain(message))
    return packed


@dataclass(frozen=True)
class Batch:
    """A batch that was formed, with the encoded groups in its order and the bound that it was formed under."""

    message: dict[str, Any]
    payloads: list[bytes]
    max_staleness: float


class Run:
    """A run as its trainer sees it: commands of Redis, and the scripts that change its state."""

    def __init__(self, url: str, run_id: str) -> None:
        # Replies are bytes, which its types leave open.
        self.redis: Any = redis.Redis.from_url(
            url, retry=WAIT, retry_on_error=[redis.ConnectionError, redis.TimeoutError]
        )
        self.id = run_id
        self.epoch = 0
        self.recipe = self._config()

    def key(self, name: str) -> str:
        return f"forge:{{{self.id}}}:{name}"

    def _config(self) -> dict[str, Any]:
        text = self.redis.get(self.key("config"))
        if text is None:
            raise Failure("CONFLICT_STATE", f"no run {self.id} in this Redis")
        recipe: dict[str, Any] = json.loads(text)
        return recipe

    def fields(self, name: str, *fields: str) -> list[str | None]:
        """Fields of a hash of the run."""
        found = self.redis.hmget(self.key(name), list(fields))
        return [None if one is None else one.decode() for one in found]

    def call(self, script: str, keys: Sequence[str], *args: str | int | bytes) -> Any:
        """Runs a script of the run's release."""
        source = self.redis.hget(self.key("scripts"), script)
        if source is None:
            raise Failure("CONFLICT_STATE", f"run {self.id} has no script {script}: it was removed, or is older")
        names = [self.key(name) for name in keys]
        try:
            return self.redis.evalsha(hashlib.sha1(source).hexdigest(), len(names), *names, *args)
        except redis.exceptions.NoScriptError:
            return self.redis.eval(source, len(names), *names, *args)

    def take_over(self) -> int:
        """Makes this the run's trainer, of a new epoch; the version the run is at."""
        self.epoch = int(self.redis.hincrby(self.key("run"), "epoch", 1))
        return int(self.fields("run", "version")[0] or 0)

    def standing(self) -> tuple[str, int, int, int]:
        """Phase, version, steps, and steps that went wrong in a row, while this is the run's trainer."""
        state, version, steps, epoch, wrong = self.fields(
            "run", "state", "version", "steps", "epoch", "rollbacksInARow"
        )
        if state is None:
            raise Failure("CONFLICT_STATE", f"the state of run {self.id} is gone")
        if int(epoch or 0) != self.epoch:
            raise Failure("STALE_EPOCH", f"trainer {self.epoch} was replaced by {epoch}")
        return state, int(version or 0), int(steps or 0), int(wrong or 0)

    def set_phase(self, phase: str, message: str) -> None:
        self.redis.hset(self.key("run"), mapping={"state": phase, "message": message})
        self.redis.xadd(self.key("signals"), {"what": phase}, maxlen=100)

    def emit(self, event: Mapping[str, Any]) -> None:
        limit = self.recipe["limits"]["telemetryEvents"]
        self.redis.xadd(self.key("telemetry"), {"event": encode(event)}, maxlen=limit)

    def latest(self) -> dict[str, Any] | None:
        """The newest announcement whose version the run has with that hash."""
        newest: dict[str, Any] | None = None
        for _, entry in reversed(self.redis.xrevrange(self.key("weights"), count=ANNOUNCED)):
            try:
                found = decode(entry[b"announcement"], 1)
            except (Failure, KeyError):
                continue
            is_newer = newest is None or found["version"] >= newest["version"]
            if is_newer and self.hash_of(found["version"]) == found["sha256"]:
                newest = found
        return newest

    def hash_of(self, version: int) -> str | None:
        record = self.fields("versions", str(version))[0]
        return None if record is None else json.loads(record)["weightsHash"]

    def announce(self, announcement: Mapping[str, Any]) -> None:
        keys = ("run", "weights", "signals", "versions")
        version, sha256 = announcement["version"], announcement["sha256"]
        if self.call("announceWeights", keys, self.epoch, version, encode(announcement), sha256) == b"stale":
            raise Failure("STALE_EPOCH", f"version {version} of epoch {self.epoch} is not the one that is due")

    def commit(
        self, announcement: Mapping[str, Any], values: Mapping[str, float], to: int | None, is_asked: bool
    ) -> None:
        """Ends the step that made the announced version; `to`: the earlier version whose weights it has."""
        version = announcement["version"]
        keys = ("records", "ledger", "run", "payloads", "leases", "batches", "weights", "signals", "versions")
        told = encode({"kind": "step", "step": version, "values": values})
        rollback = ("" if to is None else str(to), int(is_asked))
        args = (CONSUMER_GROUP, version - 1, self.epoch, encode(announcement), announcement["sha256"], *rollback, told)
        limit = self.recipe["limits"]["telemetryEvents"]
        if self.call("commitStep", (*keys, "weights-requests", "telemetry"), *args, limit) == b"stale":
            raise Failure("STALE_EPOCH", f"step {version - 1} of epoch {self.epoch} is not the one that is due")

    def asked(self) -> tuple[int | None, int | None]:
        """The version that a process could not read, and the one to go back to."""
        publish, rollback = self.fields("weights-requests", "publish", "rollback")
        return (None if publish is None else int(publish)), (None if rollback is None else int(rollback))

    def versions_in_use(self) -> set[int]:
        """Versions that live policies generate with or read, and the one to go back to."""
        seconds, micros = self.redis.time()
        alive_since = seconds * 1000 + micros // 1000 - DEAD_AFTER_MS
        replicas = [json.loads(text) for text in self.redis.hvals(self.key("replicas:policy"))]
        live = {f"policy/{one['replica']}" for one in replicas if one["seenAtMs"] > alive_since}
        users = self.redis.hgetall(self.key("weights-users"))
        uses = [json.loads(text) for user, text in users.items() if user.decode() in live]
        named = [version for use in uses for version in (use["version"], use["reading"])] + [self.asked()[1]]
        return {version for version in named if version is not None}

    def position(self, version: int) -> dict[str, int]:
        """Place of the run in its prompts when `version`, the current one, was committed."""
        record = json.loads(self.fields("versions", str(version))[0] or "{}")
        # A version before any group was trained has no count of them.
        if "nextIndex" in record and "trained" in record:
            return {"nextIndex": record["nextIndex"], "trained": record["trained"]}
        candidates, index, started = (int(one or 0) for one in self.fields("run", "candidates", "nextIndex", "started"))
        return {
            "nextIndex": version * candidates + index - started,
            "trained": int(self.fields("ledger", "trained")[0] or 0),
        }

    def read_batch(self, version: int, block_ms: int) -> Batch | None:
        """The next batch, one that was handed out before and not committed first; None while none is formed."""
        is_second = False
        while entries := self._read("0", None) or self._read(">", block_ms):
            entry, fields = entries[0]
            try:
                batch = self._leased(entry, fields)
            except Failure as failure:
                if failure.code != "CONTRACT_INVALID_MESSAGE":
                    raise
                self._refuse(entry, fields.get(b"batch", b""), failure)
                continue
            # A predecessor that waited in the same moment was given the one before: the next read finds it.
            if batch.message["version"] <= version or is_second:
                return batch
            is_second = True
        return None

    def _read(self, after: str, block_ms: int | None) -> list[Any]:
        streams = {self.key("batches"): after}
        reply = self.redis.xreadgroup(CONSUMER_GROUP, CONSUMER, streams, count=1, block=block_ms)
        return list(reply[0][1]) if reply else []

    def _leased(self, entry: bytes, fields: Mapping[bytes, bytes]) -> Batch:
        message = decode(fields.get(b"batch", b""), 4)
        lease = json.loads(self.fields("leases", str(message.get("version")))[0] or "{}")
        if lease.get("entry") != entry.decode():
            raise Failure("CONTRACT_INVALID_MESSAGE", f"no batch was formed by entry {entry.decode()}", "unknown")
        indices = [str(group["index"]) for group in message["groups"]]
        payloads = [self.redis.hget(self.key("payloads"), index) for index in indices]
        if None in payloads:
            raise Failure("BUG_INVARIANT", f"batch {message['version']} lacks the episodes of a group")
        return Batch(message, payloads, float(lease["maxStaleness"]))

    def _refuse(self, entry: bytes, payload: bytes, failure: Failure) -> None:
        """Takes an entry that is no batch off the stream; it becomes a dead letter."""
        letter = encode(
            {
                **{"schemaVersion": 1, "kind": "message", "index": None, "code": failure.code, "attempts": 1},
                **{"message": failure.text, "payload": payload[:LETTER_BYTES], "sizeBytes": len(payload)},
            }
        )
        keys = ("run", "run", "dead-letters", "dead-letter-order", "batches", "rejected")
        limit = self.recipe["limits"]["deadLetters"]
        self.call("refuse", keys, f"batches/{failure.reason}", CONSUMER_GROUP, limit, entry, letter)
