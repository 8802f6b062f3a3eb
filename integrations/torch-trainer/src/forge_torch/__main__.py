"""Command line: `check` says whether a recipe can be trained, `train` is a rank of a run's trainer."""

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NEEDED = ("torch", "transformers", "safetensors", "redis", "msgpack", "numpy")
# Exit code where a new process would end the same way.
HOPELESS = 2


def refusal(recipe: Mapping[str, Any]) -> str | None:
    """Reason why this trainer can't train a recipe: the field, what was found, and what is expected."""
    from .losses import SURROGATES

    algorithm, trainer = recipe["algorithm"], recipe["trainer"]
    found = {
        "algorithm.name": (algorithm["name"], algorithm["name"] in SURROGATES, ", ".join(sorted(SURROGATES))),
        "algorithm.teacherTop": (algorithm.get("teacherTop", 0), not algorithm.get("teacherTop"), "0"),
        "algorithm.updatesPerBatch": (
            algorithm.get("updatesPerBatch", 1),
            algorithm.get("updatesPerBatch", 1) == 1,
            "1",
        ),
        "algorithm.minibatches": (algorithm.get("minibatches", 1), algorithm.get("minibatches", 1) == 1, "1"),
        "adapter": (recipe.get("adapter"), recipe.get("adapter") is None, "none: all weights are trained"),
        "trainer.device": (trainer["device"], trainer["device"] in ("cpu", "cuda"), "cpu or cuda"),
        "output.record": (recipe["output"]["record"], not recipe["output"]["record"], "false: steps are not kept"),
    }
    for field, (value, is_fine, expected) in found.items():
        if not is_fine:
            return f"{field}: found {value}; trainer.engine torch takes {expected}"
    return None


def check() -> int:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"lacks {', '.join(missing)}", file=sys.stderr)
        return 1
    why = refusal(json.load(sys.stdin))
    if why is not None:
        print(why, file=sys.stderr)
    return 0 if why is None else HOPELESS


def train(options: argparse.Namespace) -> int:
    import torch
    import torch.distributed as dist

    from .learner import Learner
    from .store import Store
    from .trainer import Ranks, Trainer
    from .wire import Failure, Run

    def say(message: str) -> None:
        print(f"torch: {message}", file=sys.stderr, flush=True)

    def tell(line: str) -> None:
        print(line, flush=True)

    stopping: list[Any] = []
    signal.signal(signal.SIGTERM, lambda *_: stopping[0].stopping.set() if stopping else sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run = Run(os.environ["REDIS_URL"], options.run)
        if (why := refusal(run.recipe)) is not None:
            raise Failure("CONFIG_INVALID", why)
        is_cuda = run.recipe["trainer"]["device"] == "cuda"
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if is_cuda else torch.device("cpu")
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            dist.init_process_group("cpu:gloo,cuda:nccl" if is_cuda else "gloo")
        learner = Learner(options.model, run.recipe, device)
        store = Store(Path(options.directory), Path(options.model), run.recipe["trainer"], options.fingerprint)
        ranks = Ranks(learner, store)
        if learner.rank > 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            ranks.follow()
            return 0
        trainer = Trainer(run, ranks, say, tell)
        stopping.append(trainer)
        trainer.take_over()
        tell("ready")
        trainer.loop()
        tell("ended")
        return 0
    except Failure as failure:
        say(str(failure))
        return HOPELESS if failure.code.startswith("CONFIG_") else 1
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def main() -> int:
    parser = argparse.ArgumentParser(prog="forge_torch", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="reads a resolved recipe as JSON from standard input")
    training = commands.add_parser("train", help="REDIS_URL says where the run is")
    for name in ("run", "directory", "model", "fingerprint"):
        training.add_argument(name)
    options = parser.parse_args()
    return check() if options.command == "check" else train(options)


sys.exit(main())
