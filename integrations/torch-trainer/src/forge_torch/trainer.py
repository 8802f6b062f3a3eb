"""The loop of a trainer: rank 0 speaks with the run, every rank trains its share."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist

from .batches import episodes_of, lag_of, micro_batches
from .learner import Learner, Progress, Result
from .losses import finished
from .store import Store
from .wire import Batch, Failure, Run

BLOCK_MS = 500
# Errors of a step that is not applied, but rolled back.
WENT_WRONG = ("NUMERIC_NON_FINITE", "NUMERIC_LIMIT_EXCEEDED")
NAMES = {
    **{"entropy": "entropy", "kl_behaviour": "kl/behaviour", "kl_reference": "kl/reference"},
    **{"clip_fraction": "ratio/clip_fraction", "effective_sample_size": "ratio/effective_sample_size"},
}
# A failure of these reaches rank 0, which decides what becomes of it.
EXPECTED = (*WENT_WRONG, "CONTRACT_WEIGHTS_CORRUPT", "CONFLICT_STATE")


class Ranks:
    """Calls that every rank of a job makes, in the order that rank 0 says."""

    def __init__(self, learner: Learner, store: Store) -> None:
        self.learner, self.store = learner, store

    def everywhere(self, name: str, *args: Any) -> Any:
        if self.learner.ranks > 1:
            dist.broadcast_object_list([(name, args)])
        return self._agreed(name, args)

    def follow(self) -> None:
        """Does the work of the other ranks until rank 0 ends."""
        while True:
            told: list[Any] = [None]
            dist.broadcast_object_list(told)
            name, args = told[0]
            if name == "end":
                return
            try:
                self._agreed(name, args)
            except Failure as failure:
                if failure.code not in EXPECTED:
                    raise

    def _agreed(self, name: str, args: tuple[Any, ...]) -> Any:
        """A call that all ranks make well, or none: a file that only some can read would take them apart."""
        failed: Failure | None = None
        try:
            result = getattr(self, name)(*args)
        except Failure as failure:
            failed, result = failure, None
        if self.learner.ranks > 1 and name != "end":
            failures = torch.tensor([failed is not None], dtype=torch.int, device=self.learner.device)
            dist.all_reduce(failures)
            if 0 < int(failures) < self.learner.ranks:
                raise Failure("BUG_INVARIANT", f"{name} failed on {int(failures)} ranks: {failed or 'not on this one'}")
        if failed is not None:
            raise failed
        return result

    def wait(self) -> None:
        """Nothing, so that a rank that is gone is noticed."""

    def end(self) -> None:
        """Lets the other ranks go."""

    def gather(self) -> Progress:
        return self.learner.progress()

    def train(self, batch: Batch) -> tuple[Result, dict[str, float], int]:
        episodes = episodes_of(batch)
        version = self.learner.steps
        lag = lag_of(episodes, version, batch.max_staleness)
        cut = list(micro_batches(episodes, version, self.learner.plan["microBatchTokens"]))
        return self.learner.step(cut), lag, sum(one.trained for one in episodes)

    def load(self, version: int, epoch: int, seal: Mapping[str, Any]) -> None:
        self.learner.restore(self.store.load(version, epoch, seal))

    def load_checkpoint(self, step: int, run_id: str) -> None:
        self.learner.restore(self.store.load_checkpoint(step, run_id))

    def roll_back(self, to: int, sha256: str | None) -> None:
        """The next version has what version `to` had; steps go on counting."""
        step = self.learner.steps
        if to != step:
            self.learner.restore(self.store.kept(to, sha256))
        self.learner.steps = step + 1


class Trainer:
    """Trains batch after batch, each at the version that is current then; rank 0 only."""

    def __init__(self, run: Run, ranks: Ranks, say: Callable[[str], None], tell: Callable[[str], None]) -> None:
        """`say` is for people; `tell` for the process that looks after this one."""
        self.run, self.ranks, self.say, self.tell, self.recipe = run, ranks, say, tell, run.recipe
        self.stopping = threading.Event()
        self.origin: dict[str, Any] = {"parent": None, "trained": None}
        self.published: dict[str, Any] | None = None
        self.done_at, self.waited, self.why = time.monotonic(), 0.0, ""
        self.stand: dict[str, Any] = {}
        self.checkpointed = -1
        self.is_saved = False

    def take_over(self) -> None:
        """Becomes the run's trainer, and goes on from what its predecessor left."""
        version, latest = self.run.take_over(), self.run.latest()
        try:
            is_published = version > 0 and self._resume(version, latest)
            if not is_published:
                published = self._publish()
                if latest and latest["version"] == version and latest["sha256"] != published["sha256"]:
                    text = f"version {version} has the weights {published['sha256']}, expected {latest['sha256']}"
                    raise Failure("CONTRACT_WEIGHTS_CORRUPT", text)
                self.run.announce(published)
        except Failure as failure:
            if failure.code == "CONTRACT_WEIGHTS_CORRUPT":
                self.run.set_phase("failed", failure.text)
            raise
        self._stood({})
        self.tell("waits/batch")
        self.say(f"training goes on from version {version} as epoch {self.run.epoch}")

    def _resume(self, version: int, latest: Mapping[str, Any] | None) -> bool:
        """Goes on from the announced version; False: from the checkpoint of that step, as the version is damaged."""
        try:
            if latest is None or latest["version"] != version:
                raise Failure("CONTRACT_WEIGHTS_CORRUPT", f"version {version} was not announced")
            self.ranks.everywhere("load", version, latest["epoch"], latest)
            self.published = {"version": version, "sha256": latest["sha256"]}
            return True
        except Failure as failure:
            self.say(f"{failure}; going on from the checkpoint of step {version}")
            try:
                self.ranks.everywhere("load_checkpoint", version, self.run.id)
            except Failure as second:
                text = f"step {version} is committed, but can't be read ({failure.text}; {second.text})"
                raise Failure("CONTRACT_WEIGHTS_CORRUPT", f"{text}; forge resume {self.run.id} --from STEP") from second
            return False

    def loop(self) -> None:
        """Trains until it is to stop; then the model is saved."""
        while not self.stopping.is_set():
            self._turn()
        self.run.standing()
        self._save()
        self.ranks.everywhere("end")

    def _turn(self) -> None:
        self.ranks.everywhere("wait")
        phase, version, steps, wrong = self.run.standing()
        if phase == "running" and wrong >= self.recipe["trainer"]["rollback"]["maxInARow"]:
            self.run.set_phase("failed", f"{wrong} steps in a row were rolled back; the last: {self.why}")
        elif phase != "running" or version >= steps:
            self._save()
            self.stopping.wait(BLOCK_MS / 1000)
        else:
            self._publish_again(version)
            waited_from = time.monotonic()
            batch = self.run.read_batch(version, BLOCK_MS)
            self.waited += time.monotonic() - waited_from
            if batch is not None:
                self.tell("busy")
                self._step(batch)
                self.tell("waits/batch")

    def _publish_again(self, version: int) -> None:
        asked = self.run.asked()[0]
        if asked is None:
            return
        self.run.redis.hdel(self.run.key("weights-requests"), "publish")
        if asked == version:
            self.say(f"version {version} is published again: somebody could not read it")
            self.run.announce(self._publish())

    def _publish(self) -> dict[str, Any]:
        progress = self.ranks.everywhere("gather")
        announcement = self.ranks.store.publish(progress, self.run.epoch, self.origin, self.run.versions_in_use())
        self.published = {"version": progress.step, "sha256": announcement["sha256"]}
        return announcement

    def _step(self, batch: Batch) -> None:
        """Ends the step of a batch: by training on it, or by going back where that is asked for."""
        to = self.run.asked()[1]
        if to is None or not self._roll_back(batch, to, True):
            self._train(batch)

    def _train(self, batch: Batch) -> None:
        version, began = batch.message["version"], time.monotonic()
        if version != self.ranks.learner.steps:
            raise Failure("BUG_INVARIANT", f"batch {version} came to version {self.ranks.learner.steps}")
        try:
            result, lag, tokens = self.ranks.everywhere("train", batch)
        except Failure as failure:
            if failure.code not in WENT_WRONG:
                raise
            self.why = failure.text
            self._roll_back(batch, version, False)
            return
        self.tell(f"trained {tokens}")
        groups = [group["index"] for group in batch.message["groups"]]
        self.origin = {"parent": self.published, "trained": {"step": version, "groups": groups}}
        statistics = batch.message["statistics"]
        own = {NAMES.get(name, f"loss/{name}"): value for name, value in finished(result.metrics).items()}
        values = {
            **{**statistics, "loss": result.loss, **own, "gradient_norm": result.gradient_norm},
            **{"learning_rate": result.learning_rate, "tokens/trained": tokens, **lag},
            "logprob_mismatch": max(result.mismatch, statistics.get("logprob_mismatch", 0)),
            "time/train_ms": 1000 * (time.monotonic() - began),
        }
        self._commit(batch, values, None, False)

    def _roll_back(self, batch: Batch, to: int, is_asked: bool) -> bool:
        """False when that version can't be gone back to: who asked is told, and nothing has changed."""
        sha256 = self.run.hash_of(to)
        try:
            self.ranks.everywhere("roll_back", to, sha256)
        except Failure as failure:
            if not is_asked:
                raise
            self.run.call("refuseRollback", ("weights-requests",), to, failure.text)
            return False
        why = "it was asked for" if is_asked else self.why
        message = f"step {batch.message['version'] + 1} goes back to version {to}: {why}"
        self.say(message)
        self.run.emit({"kind": "run", "state": "running", "message": message})
        is_same = to == batch.message["version"]
        self.origin = {"parent": self.published if is_same else {"version": to, "sha256": sha256}, "trained": None}
        self._commit(batch, {**batch.message["statistics"], "rollback/to": to}, to, is_asked)
        return True

    def _commit(self, batch: Batch, values: dict[str, float], to: int | None, is_asked: bool) -> None:
        announcement = self._publish()
        now = time.monotonic()
        values |= {"time/step_ms": 1000 * (now - self.done_at), "time/wait_ms": 1000 * self.waited}
        if "tokens/trained" in values:
            values["tokens/trained_per_second"] = values["tokens/trained"] / (now - self.done_at)
        self.done_at, self.waited = now, 0.0
        self.run.commit(announcement, values, to, is_asked)
        self._stood(values)
        if announcement["version"] % self.recipe["trainer"]["checkpointEverySteps"] == 0:
            self._checkpoint()

    def _stood(self, metrics: Mapping[str, float]) -> None:
        position = self.run.position(self.ranks.learner.steps)
        self.stand = {"id": self.run.id, "seed": self.recipe["seed"], **position, "metrics": metrics}

    def _checkpoint(self) -> None:
        progress = self.ranks.everywhere("gather")
        if self.checkpointed != progress.step:
            self.ranks.store.checkpoint(progress, self.run.epoch, self.recipe["maxStaleness"], self.stand)
        self.checkpointed = progress.step

    def _save(self) -> None:
        """Saves the final model and a checkpoint, once, and says so again and again: a Redis that dies may forget."""
        if not self.is_saved:
            progress = self.ranks.everywhere("gather")
            target = self.ranks.store.directory / "model"
            self.ranks.store.save_model(target, progress.parameters, self.recipe["trainer"]["dtype"])
            self._checkpoint()
            self.say("final model saved")
        self.is_saved = True
        self.run.emit({"kind": "run", "state": "saved"})
