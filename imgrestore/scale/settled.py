"""The plugin that makes a worker ready, also one that somebody else started."""

from __future__ import annotations

import contextlib
import importlib
import signal
from typing import Any

from imgrestore import __version__

from .places import pin

try:
    from distributed import WorkerPlugin
except ImportError:  # told by `imgrestore.scale.extra.needed` before a plugin is made
    WorkerPlugin = object  # type: ignore[assignment, misc]

__all__ = ["Settled"]


class Settled(WorkerPlugin):
    """Pins the threads of a worker, and imports what its first picture would wait for.

    Parameters
    ----------
    threads : int
        0 for as many as the worker was given.
    module : str
        What to import.
    version : str
        That of the package on the client; a worker with another refuses.
    quiet : bool
        Whether interrupts are left to the client, which ends its own workers.
    """

    def __init__(self, threads: int, module: str, version: str = __version__, quiet: bool = False) -> None:
        self.threads, self.module, self.version, self.quiet = threads, module, version, quiet

    def setup(self, worker: Any) -> None:
        """Make a worker ready.

        Parameters
        ----------
        worker : distributed.Worker

        Raises
        ------
        RuntimeError
            Its version is another than the client's.
        """
        if self.version != __version__:
            raise RuntimeError(
                f"the worker {worker.address} has imgrestore {__version__}, expected the client's {self.version}"
            )
        if self.quiet:
            with contextlib.suppress(ValueError):  # not the main thread
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        threads = self.threads or worker.state.nthreads
        pin(threads)
        importlib.import_module(self.module)
        pin(threads)
