"""A cable between two network devices that holds every frame up and loses some of them.

Arguments: the names of both devices, which it makes; the delay in milliseconds, the share that is lost, and a seed. For kernels
without netem. It says "ready" and ends with its standard input.
"""

import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
FRAME_BYTES = 65_536


def open_device(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP_NO_PI))
    return device


def write(device: int, frame: bytes) -> None:
    try:
        os.write(device, frame)
    except OSError:
        pass  # A device that is down takes nothing, as a cable that was pulled.


def main() -> None:
    near, far, delay_ms, loss, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    devices = [open_device(near), open_device(far)]
    held: deque[tuple[float, int, bytes]] = deque()
    print("ready", flush=True)
    while True:
        wait = max(0.0, held[0][0] - time.monotonic()) if held else None
        readable, _, _ = select.select([*devices, sys.stdin], [], [], wait)
        if sys.stdin in readable and not os.read(0, 1):
            return
        now = time.monotonic()
        for i, device in enumerate(devices):
            if device not in readable:
                continue
            try:
                frame = os.read(device, FRAME_BYTES)
            except OSError:
                continue
            if chance.random() >= float(loss):
                held.append((now + float(delay_ms) / 1000, devices[1 - i], frame))
        while held and held[0][0] <= now:
            _, target, frame = held.popleft()
            write(target, frame)


main()
