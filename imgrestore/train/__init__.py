"""The training ground: ``imgrestore train TASK``, restartable at any moment.

`Options` says what a run is told; `imgrestore.train.run.train` carries it out; a task brings a `Ground`
(`imgrestore.train.ground`). Nothing here imports torch before it is needed.
"""

from __future__ import annotations

from imgrestore.train.options import GROUNDS, Options

__all__ = ["GROUNDS", "Options"]
