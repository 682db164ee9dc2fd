"""Several processes that train one net together, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed as dist

__all__ = ["World", "join"]

# The others wait this long for the first one, which validates and writes alone.
PATIENCE = timedelta(hours=1)


@dataclass(frozen=True)
class World:
    """The processes that train together.

    Attributes
    ----------
    rank, size : int
        This process's number, from 0, and how many there are.
    local : int
        Its number on this machine.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the process that logs, validates and writes."""
        return self.rank == 0

    def share(self, parts: int) -> range:
        """Which parts of every batch are this process's."""
        return range(self.rank, parts, self.size)

    def add_up(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace tensors by their sums over all processes: one exchange for all of them.

        Parameters
        ----------
        tensors : sequence of Tensor of float32
            On this process's device, in the same order everywhere.
        """
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def agree(self, elapsed: float, stop: bool, enough: bool = False) -> tuple[float, bool, bool]:
        """The first process's clock and whether it has had enough, and whether any process was asked to stop.

        Parameters
        ----------
        elapsed : float
            Seconds.
        stop, enough : bool

        Returns
        -------
        elapsed : float
        stop, enough : bool
        """
        if self.size == 1:
            return elapsed, stop, enough
        first = (elapsed, float(enough)) if self.leads else (0.0, 0.0)
        told = torch.tensor([*first, float(stop)], dtype=torch.float64)
        dist.all_reduce(told)
        return float(told[0]), bool(told[2] > 0), bool(told[1] > 0)

    def wait(self) -> None:
        """Let all processes arrive here."""
        if self.size > 1:
            self.agree(0.0, False)

    def leave(self) -> None:
        """Part from the others."""
        if self.size > 1:
            dist.destroy_process_group()


def join(device: torch.device) -> World:
    """Meet the processes that were started with this one, by the variables that ``torchrun`` sets.

    Parameters
    ----------
    device : torch.device
        Where this process computes. The exchange runs over NCCL on CUDA, and over Gloo on the CPU.

    Returns
    -------
    World
        One of size 1 where there are no others.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    # The functions in it take the group that stands when they are defined for their default. Imported later, by torch's
    # compiler, they would keep this group and its threads beyond `leave`; these crash if the interpreter ends first.
    import torch.distributed.nn.functional  # noqa: F401

    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    return World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))
