"""The workers of a batch: processes of this machine, or those of a scheduler that somebody else started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .extra import needed
from .places import VARIABLES

__all__ = ["connected", "local", "workers_by_default"]

CONNECTING = 10  # seconds


def workers_by_default(threads: int) -> int:
    """How many workers this machine has room for: one for each GPU, or for so many threads of its cores.

    Parameters
    ----------
    threads : int
        Of each worker.

    Returns
    -------
    int
    """
    import torch

    if torch.cuda.is_available():
        return torch.cuda.device_count()
    return max(1, int(needed("dask.system").CPU_COUNT) // threads)


@contextmanager
def local(workers: int, threads: int, retries: int) -> Iterator[Any]:
    """Start workers on this machine, and stop them in the end.

    A worker that dies is replaced. None has a limit of memory of its own: one picture may need more than its share.

    Parameters
    ----------
    workers : int
    threads : int
        Of each worker.
    retries : int
        How many workers may die before a picture is suspected of it.

    Yields
    ------
    distributed.Client
    """
    dask, distributed = needed("dask"), needed("distributed")
    variables = {name: str(threads) for name in VARIABLES}
    before = dict(dask.config.get("distributed.nanny.pre-spawn-environ", {}))
    # Dask has freed memory given back to the system at once; a picture's arrays, freed and taken again all the time,
    # are then paged in anew each time, which is half as much work again.
    before.pop("MALLOC_TRIM_THRESHOLD_", None)
    settings = {
        "distributed.nanny.pre-spawn-environ": {**before, **variables},
        "distributed.scheduler.allowed-failures": retries,
        "distributed.scheduler.worker-ttl": None,  # native code may keep a worker from answering for long
    }
    with (
        dask.config.set(settings),
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=None,
            env=variables,
            silence_logs="CRITICAL",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler that is running.

    Parameters
    ----------
    address : str
        Such as ``tcp://host:8786``.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ConnectionError
        Nobody answers.
    """
    distributed = needed("distributed")
    try:
        client = distributed.Client(address, timeout=CONNECTING, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        text = " ".join(str(error).split())
        raise ConnectionError(f"--scheduler {address}: no scheduler answers there ({text})") from None
    # What goes wrong is told once, by those who use it.
    with needed("distributed.utils").silence_logging_cmgr("CRITICAL"), client:
        yield client
