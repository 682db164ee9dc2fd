"""The curves of a run: loss and validation scores over the steps."""

from __future__ import annotations

import io
from pathlib import Path

from imgrestore.train.checkpoint import write_bytes
from imgrestore.train.scores import PSNR
from imgrestore.train.tables import Table

__all__ = ["draw"]

FEW = 30


def draw(log: Table, validation: Table, path: Path, title: str = PSNR.title) -> None:
    """Draw the curves as PNG.

    Parameters
    ----------
    log, validation : Table
        ``log.csv`` with a column ``loss``, ``val.csv`` with "before CASE" and "net CASE".
    path : Path
        The file to write.
    title : str
        What the scores are.

    Raises
    ------
    ImportError
        Where there is no matplotlib.
    """
    # The figure itself instead of pyplot, which would look for a display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 7.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    rows = log.rows()
    mark = "." if len(rows) < FEW else ""
    above.plot([row["step"] for row in rows], [row["loss"] for row in rows], color="0.2", linewidth=0.8, marker=mark)
    above.set_ylabel("loss")
    scores = validation.rows()
    steps = [row["step"] for row in scores]
    cases = [name.removeprefix("net ") for name in (scores[0] if scores else {}) if name.startswith("net ")]
    for number, case in enumerate(cases):
        below.plot(steps, [row[f"net {case}"] for row in scores], color=f"C{number}", marker=".", label=case)
        if f"before {case}" in scores[0]:
            below.axhline(scores[0][f"before {case}"], color=f"C{number}", linestyle=":", linewidth=1)
    below.set_xlabel("step")
    below.set_ylabel(f"validation {title} (dotted: before the net)")
    if cases:
        below.legend()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    write_bytes(path, stream.getvalue())
