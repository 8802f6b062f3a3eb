"""Environments that OpenEnv servers serve to the tests, at /guess, /door and /shop of the port that is printed."""

import socket
from typing import Literal

import uvicorn
from fastapi import FastAPI
from fastmcp import FastMCP
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.mcp_environment import MCPEnvironment
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field


class Guess(Action):
    number: int = Field(ge=0, le=99)


class Hint(Observation):
    hint: str


class GuessEnvironment(Environment):
    """The number is the seed's last two digits, unless reset is told it."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=0, number=None, **kwargs):
        self.number = seed % 100 if number is None else int(number)
        self.steps = 0
        return Hint(hint="Guess.")

    def step(self, action, **kwargs):
        self.steps += 1
        if action.number == 13:
            raise RuntimeError("bad luck")
        if action.number == self.number:
            return Hint(hint="right", reward=1.0, done=True)
        return Hint(hint="higher" if action.number < self.number else "lower", reward=-0.125)

    @property
    def state(self):
        return State(step_count=self.steps)


class Lever(Action):
    """Pulls levers until the door is open."""

    side: Literal["left", "right"]
    times: int = 1


class Door(Observation):
    is_open: bool
    pulled: int


class DoorEnvironment(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed=0, **kwargs):
        self.pulled = 0
        return Door(is_open=False, pulled=0)

    def step(self, action, **kwargs):
        self.pulled += action.times if action.side == "left" else 0
        return Door(is_open=self.pulled >= 3, pulled=self.pulled, reward=0.5, done=self.pulled >= 3)

    @property
    def state(self):
        return State()


class ShopEnvironment(MCPEnvironment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        shop = FastMCP("shop")
        self.bought = 0

        @shop.tool
        def price(fruit: str) -> dict:
            """The price of a fruit."""
            return {"fruit": fruit, "price": {"apple": 3, "pear": 5}[fruit]}

        @shop.tool
        def buy(fruit: str) -> str:
            """Buys a fruit."""
            self.bought += 1
            return "thanks"

        super().__init__(shop)

    def reset(self, seed=0, **kwargs):
        return Observation()

    def _step_impl(self, action, **kwargs):
        return Observation()

    async def step_async(self, action, **kwargs):
        before = self.bought
        seen = await super().step_async(action, **kwargs)
        return seen.model_copy(update={"reward": float(self.bought - before), "done": self.bought >= 2})

    @property
    def state(self):
        return State()


if __name__ == "__main__":
    app = FastAPI()
    app.mount("/guess", create_fastapi_app(GuessEnvironment, Guess, Hint, max_concurrent_envs=2))
    app.mount("/door", create_fastapi_app(DoorEnvironment, Lever, Door, max_concurrent_envs=1))
    app.mount("/shop", create_fastapi_app(ShopEnvironment, CallToolAction, CallToolObservation, max_concurrent_envs=2))
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listening])
