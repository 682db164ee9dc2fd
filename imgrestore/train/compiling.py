"""Compile the parts of a net that are worth it, as the user asks, or where that pays."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch
from torch import nn

from imgrestore.nets.blocks import GatedBlock, UNet, set_depthwise

__all__ = ["compile_parts", "parts_of"]

WARM = 4


class Steps(Protocol):
    """Of a trainer what compiling needs."""

    net: nn.Module
    device: torch.device

    def loss_of(self, step: int, part: int) -> torch.Tensor:
        """The loss of a part of a step's batch."""


def parts_of(net: nn.Module) -> list[nn.Module]:
    """The parts of a net that are worth compiling.

    Parameters
    ----------
    net : Module
        What its ``compiled_parts()`` names, where it has one; else its U-Nets, and its gated blocks outside of them.

    Returns
    -------
    list of Module
    """
    named: Callable[[], list[nn.Module]] | None = getattr(net, "compiled_parts", None)
    if named is not None:
        return list(named())

    def outermost(module: nn.Module) -> list[nn.Module]:
        if isinstance(module, (UNet, GatedBlock)):
            return [module]
        return [part for child in module.children() for part in outermost(child)]

    return outermost(net)


def compile_parts(trainer: Steps, mode: str, say: Callable[[str], None]) -> None:
    """Compile a net's parts in place; where that fails, go on without.

    Parameters
    ----------
    trainer : Trainer
        Its net is compiled, its EMA copy is not. The trial's gradients are dropped: nothing is learned.
    mode : {"off", "conv", "shift", "auto"}
        How depthwise convolutions are computed (see `DepthwiseConv`); ``auto`` alone times them, and keeps the fastest
        or none.
    say : callable
        Takes lines for the user.
    """
    if mode == "off":
        return
    parts = parts_of(trainer.net)

    def prepare(way: str) -> None:
        torch.compiler.reset()
        for part in parts:
            part._compiled_call_impl = None
        set_depthwise(trainer.net, "shift" if way == "shift" else "conv")
        if way != "off":
            for part in parts:
                part.compile(dynamic=False)

    def take(count: int) -> float:
        began = time.monotonic()
        for step in range(count):
            loss = trainer.loss_of(step, 0)
            loss.backward()
            if not torch.isfinite(loss):
                raise ArithmeticError(f"the loss is {float(loss)}")
        _wait(trainer.device)
        return time.monotonic() - began

    timed = (20 if trainer.device.type == "cuda" else 1) if mode == "auto" else 0
    times: dict[str, float] = {}
    for way in ("off", "conv", "shift") if mode == "auto" else (mode,):
        try:
            prepare(way)
            ready = take(WARM if timed else 1)  # what cannot be compiled fails in the first step
            say(f"compile {way}: ready after {ready:.0f} s")
            times[way] = take(timed) / max(1, timed)
            if timed:
                say(f"compile {way}: {1000 * times[way]:.1f} ms a step without the optimizer")
        except Exception as error:
            say(f"compile {way} failed, going on without: {type(error).__name__}: {str(error)[:400]}")
    trainer.net.zero_grad(set_to_none=True)
    best = min(times, key=lambda way: times[way]) if times else "off"
    say(f"compile: {best} is used")
    if timed or best == "off":
        prepare(best)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
