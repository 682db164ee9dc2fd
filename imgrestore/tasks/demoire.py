"""Demoiré: y = tone(x + patterns that repeat)."""

from __future__ import annotations

from typing import Any, Literal, get_args

from imgrestore.classical.moire import estimate, untouched
from imgrestore.pixels import ChannelAxis
from imgrestore.tasks.task import Task, check_choice

__all__ = ["Method", "demoire"]

Method = Literal["auto", "classical"]

TASK = Task("demoire", untouched)


def demoire(
    image: Any,
    *,
    method: Method = "auto",
    mask: Any = None,
    details: bool = False,
    channel_axis: ChannelAxis = "auto",
) -> Any:
    """Take moiré, scan lines and half-tone screens off a picture.

    Waves that repeat over the whole frame are taken out of its spectrum, patterns that bend, and
    bands and rings of colour, window by window. The photograph of a screen is recognised by its statistics; it is freed
    of the screen's grid, and its tones and colours are brought nearer to those of the screen. Where nothing of that is
    found, the picture comes back as it was.

    Parameters
    ----------
    image : ndarray or torch.Tensor
        NumPy: (H, W); (H, W, C) with C up to 4, where the 2nd of 2 and the 4th of 4 channels is alpha and is kept as
        it is. Torch: (H, W), (C, H, W), (N, C, H, W). uint8, uint16, or floating point in any range.
    method : {"auto", "classical"}
        Both are the classical estimate.
    mask : array of bool, shape (H, W) or that of `image`, optional
        True where the moiré is. Only there, and a few pixels around it, the picture is changed, and its tones are kept.
        By default the pattern is looked for.
    details : bool
        Return a `Restoration` instead of the picture.
    channel_axis : int, None or "auto"
        As in `imgrestore.deblur`.

    Returns
    -------
    array or Restoration
        Type, shape, dtype and range of `image`. Its `Restoration` has the layers "scene" (the result), "moire" (what
        was taken off) and "tone" (the change of tones that was undone), whose sum is the input; `mask`, True where the
        pattern can be seen; and `confidence`.

    Raises
    ------
    TypeError
        Where `image` is no array, or has a dtype other than those above.
    ValueError
        Where it is empty, has no finite pixel or a layout that cannot be told, or an option is none of those above.

    See Also
    --------
    imgrestore.classical.find_peaks, imgrestore.classical.notch_filter : the same by hand.

    References
    ----------
    Moisan, "Periodic plus smooth image decomposition" (2011). Sidorov & Kokaram, "Suppression of moire patterns via
    spectral analysis" (2002). Sur & Grédiac, "Automated removal of quasiperiodic noise using frequency domain
    statistics" (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from imgrestore import demoire
    >>> rng = np.random.default_rng(0)
    >>> scene = 0.5 + 0.02 * rng.standard_normal((128, 128))
    >>> striped = scene + 0.1 * np.sin(2 * np.pi * 0.25 * np.arange(128))
    >>> bool(np.std(demoire(striped) - scene) < 0.01)
    True
    """
    check_choice(method, get_args(Method), "method")
    return TASK.run(image, estimate, mask=mask, details=details, channel_axis=channel_axis)
