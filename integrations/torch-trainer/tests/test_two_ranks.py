"""A model that is sharded over two processes takes the same steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_two_ranks_take_the_steps_of_our_trainer() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = os.pathsep.join(map(str, (HERE.parent / "src", HERE)))
    ran = subprocess.run(
        [*command, str(HERE / "two_ranks.py")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.strip().splitlines()[-1])
    assert len(found) > 20
    for value, expected in found:
        assert abs(value - expected) <= 1e-5 * max(1, abs(expected))
