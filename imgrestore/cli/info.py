"""``imgrestore info``: what this installation is made of, and what is missing and why."""

from __future__ import annotations

from importlib import metadata
from typing import Any

OPTIONAL = {
    "astropy": ("FITS files", "pip install 'imgrestore[fits]'"),
    "onnx": ("imgrestore export", "pip install 'imgrestore[onnx]'"),
    "distributed": ("imgrestore batch", "pip install 'imgrestore[scale]'"),
    "matplotlib": ("curves of training", "pip install 'imgrestore[train]'"),
}


def command() -> None:
    """Show versions, the native code and instruction set in use, and what is missing and why."""
    from rich.console import Console
    from rich.table import Table

    from imgrestore._native import build_info

    table = Table(title="imgrestore", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows(build_info()):
        table.add_row(name, value)
    Console(markup=False, highlight=False).print(table)


def rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Lay out `build_info` as lines of a table: what is in use, or why not.

    Parameters
    ----------
    facts : dict
        What `imgrestore.build_info` returns.

    Returns
    -------
    list of (str, str)
    """
    native, isa, cuda = facts["native"], facts["isa"], facts["cuda"]
    lines = [(name, str(facts[name])) for name in ("version", "python", "torch")]
    lines.append(("threads", str(facts["threads"])))
    lines.append(("native code", native["path"] if native["loaded"] else f"not in use: {native['reason']}"))
    if native["loaded"]:
        note = f" ({isa['reason']})" if isa["reason"] else ""
        lines.append(("instruction set", f"{isa['in_use']}{note}"))
        lines.append(("compiled for", ", ".join(isa["compiled"])))
    lines.append(("CUDA kernels", cuda["path"] if cuda["loaded"] else f"not in use: {cuda['reason']}"))
    lines.append(("CUDA devices", ", ".join(cuda["devices"]) or "none that torch sees"))
    for package, (use, remedy) in OPTIONAL.items():
        try:
            lines.append((use, f"{package} {metadata.version(package)}"))
        except metadata.PackageNotFoundError:
            lines.append((use, f"not readable: {package} is not installed ({remedy})"))
    return lines
