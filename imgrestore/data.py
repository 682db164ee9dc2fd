"""Training data: folders of clean pictures packed into one small file, and damaged pairs made from it on the device."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from imgrestore.degrade import blur

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
PSF_SIZE = 41


def pack(folders: Sequence[str | Path], out: str | Path, max_bytes: int = 50_000_000, max_side: int = 1024) -> Path:
    """Pack folders of pictures into one file.

    JPEG files are taken byte for byte: encoding them again would only lose. Other pictures, and those larger than
    `max_side`, become JPEG of quality 98 without chroma subsampling. When the limit does not hold them all, every
    folder after the first that would pass it is thinned evenly.

    Parameters
    ----------
    folders : sequence of path
        Folders of pictures, the most important first.
    out : path
        The ``.npz`` file to write.
    max_bytes : int
        Size limit.
    max_side : int
        Larger pictures are reduced to it.

    Returns
    -------
    Path
        The file written.
    """
    names: list[str] = []
    blobs: list[bytes] = []
    room = max_bytes - 200_000
    for folder in map(Path, folders):
        paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
        found = [(p.name, _encode(p, max_side)) for p in paths]
        total = sum(len(blob) for _, blob in found)
        keep = min(1.0, room / max(total, 1))
        found = [item for i, item in enumerate(found) if int((i + 1) * keep) > int(i * keep)]
        for name, blob in found:
            if len(blob) <= room:
                names.append(f"{folder.name}/{name}")
                blobs.append(blob)
                room -= len(blob)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum([len(blob) for blob in blobs])
    np.savez(out, names=np.array(names), ends=ends, bytes=np.frombuffer(b"".join(blobs), np.uint8))
    return out


def _encode(path: Path, max_side: int) -> bytes:
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as picture:
        if picture.format == "JPEG" and max(picture.size) <= max_side and picture.mode == "RGB":
            return data
        rgb = picture.convert("RGB")
    if max(rgb.size) > max_side:
        scale = max_side / max(rgb.size)
        rgb = rgb.resize((round(rgb.width * scale), round(rgb.height * scale)), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    rgb.save(stream, "JPEG", quality=98, subsampling=0)
    return stream.getvalue()


def read_pack(source: str | Path) -> dict[str, NDArray[np.uint8]]:
    """The pictures of a packed file, or of a folder.

    Parameters
    ----------
    source : path
        A file written by `pack`, or a folder of pictures.

    Returns
    -------
    dict of str to ndarray of uint8, shape (H, W, 3)
        Name to picture, in a fixed order.
    """
    source = Path(source)
    if source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES)
        names, streams = [f"{source.name}/{p.name}" for p in paths], [p.read_bytes() for p in paths]
    else:
        with np.load(source) as stored:
            names, ends, data = [str(n) for n in stored["names"]], stored["ends"], stored["bytes"].tobytes()
        starts = [0, *ends[:-1].tolist()]
        streams = [data[a:b] for a, b in zip(starts, ends.tolist(), strict=True)]
    if not streams:
        raise ValueError(f"{source} holds no pictures; expected files ending in {', '.join(sorted(SUFFIXES))}")

    def decode(stream: bytes) -> NDArray[np.uint8]:
        with Image.open(io.BytesIO(stream)) as picture:
            return np.asarray(picture.convert("RGB"))

    with ThreadPoolExecutor(16) as pool:
        return dict(zip(names, pool.map(decode, streams), strict=True))


class Pictures:
    """Pictures of any sizes as one flat uint8 tensor, from which batches of crops are gathered on its device.

    Parameters
    ----------
    arrays : iterable of ndarray of uint8, shape (H, W, 3)
        The pictures.
    device : torch.device or str
        Where they live.
    """

    def __init__(self, arrays: Iterable[NDArray[np.uint8]], device: torch.device | str = "cpu") -> None:
        arrays = list(arrays)
        sizes = np.array([a.shape[:2] for a in arrays], np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes.prod(1) * 3)[:-1]])
        self.flat = torch.from_numpy(np.concatenate([np.ascontiguousarray(a).reshape(-1) for a in arrays])).to(device)
        self.sizes = torch.from_numpy(sizes).to(device)
        self.starts = torch.from_numpy(starts).to(device)
        self.largest = int(sizes.min(1).max())

    def __len__(self) -> int:
        return int(self.sizes.shape[0])

    def crops(self, count: int, size: int, generator: torch.Generator) -> torch.Tensor:
        """Random crops, flipped and turned.

        Parameters
        ----------
        count, size : int
            Number and side of the crops.
        generator : torch.Generator
            On the pictures' device.

        Returns
        -------
        Tensor of float32, shape (count, 3, size, size)
            Range [0, 1]. Larger pictures are drawn more often, in proportion to their area; those smaller than
            `size` never.
        """
        device = self.flat.device
        area = self.sizes.prod(1) * (self.sizes.amin(1) >= size)
        which = torch.multinomial(area.double(), count, replacement=True, generator=generator)
        place = torch.rand(count, 2, device=device, generator=generator)
        corner = (place * (self.sizes[which] - size + 1)).long()
        turn = torch.rand(count, 3, device=device, generator=generator) < 0.5
        return self.gather(which, corner, size, turn)

    def centres(self, size: int) -> torch.Tensor:
        """The middle crop of every picture, shape (len, 3, size, size), float32."""
        which = torch.arange(len(self), device=self.flat.device)
        turn = torch.zeros(len(self), 3, dtype=torch.bool, device=self.flat.device)
        return self.gather(which, (self.sizes - size) // 2, size, turn)

    def gather(self, which: torch.Tensor, corner: torch.Tensor, size: int, turn: torch.Tensor) -> torch.Tensor:
        """Crops of pictures `which` (N,) at `corner` (N, 2), flipped down, across, transposed where `turn` (N, 3)."""
        steps = torch.arange(size, device=self.flat.device)
        rows = torch.where(turn[:, 0, None], size - 1 - steps, steps) + corner[:, 0, None]
        columns = torch.where(turn[:, 1, None], size - 1 - steps, steps) + corner[:, 1, None]
        index = (rows[:, :, None] * self.sizes[which, 1, None, None] + columns[:, None, :]) * 3
        index = torch.where(turn[:, 2, None, None], index.transpose(1, 2), index) + self.starts[which, None, None]
        channels = torch.arange(3, device=self.flat.device)
        return self.flat[index[:, None] + channels[:, None, None]].float() / 255


def split(pictures: dict[str, NDArray[np.uint8]], validation: int = 16) -> tuple[list[str], list[str]]:
    """Names for training and for validation.

    Parameters
    ----------
    pictures : dict
        As from `read_pack`.
    validation : int
        How many to hold out, spread evenly over the first pack's folder.

    Returns
    -------
    train, held : list of str
        Disjoint.
    """
    names = list(pictures)
    first = [n for n in names if n.split("/")[0] == names[0].split("/")[0]]
    count = max(1, min(validation, len(first) // 4))
    held = [first[round((i + 0.5) * len(first) / count - 0.5)] for i in range(count)]
    return [n for n in names if n not in set(held)], held


def _psf_chunk(job: tuple[int, int, float]) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    seed, count, wrong = job
    rng = np.random.default_rng(seed)
    true, told = np.zeros((2, count, PSF_SIZE, PSF_SIZE), np.float16)
    for i in range(count):
        psf = blur.centred(blur.sample_psf(rng), PSF_SIZE)
        true[i] = psf
        told[i] = blur.perturb_psf(psf, rng) if rng.random() < wrong else psf
    return true, told


def psf_pool(count: int, seed: int, wrong: float = 0.2, workers: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw many PSFs, and what the net is told they are.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        The same seed gives the same PSFs for any number of workers.
    wrong : float
        Share of PSFs told slightly wrong, as a blind estimate would be.
    workers : int
        Processes; 0 draws them here.

    Returns
    -------
    true, told : Tensor of float32, shape (count, 41, 41)
        Each sums to 1, centre at (20, 20).
    """
    sizes = [min(500, count - i) for i in range(0, count, 500)]
    jobs = [(seed * 100_003 + i, size, wrong) for i, size in enumerate(sizes)]
    if workers:
        # Forked children of a process that holds a GPU or running threads can hang; spawned ones cannot.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            chunks = list(pool.map(_psf_chunk, jobs))
    else:
        chunks = [_psf_chunk(job) for job in jobs]
    true = torch.from_numpy(np.concatenate([c[0] for c in chunks])).float()
    told = torch.from_numpy(np.concatenate([c[1] for c in chunks])).float()
    return true / true.sum((1, 2), keepdim=True), told / told.sum((1, 2), keepdim=True)


@dataclass
class BlurBatch:
    """Blurred frames and what is known of them.

    Attributes
    ----------
    observed : Tensor of float32, shape (N, 3, S - 40, S - 40)
        The frames.
    clean : Tensor of float32, shape (N, 3, S, S)
        The scenes, which go on past the frames by 20 pixels on every side.
    psf : Tensor of float32, shape (N, 41, 41)
        The PSFs as they are told, some slightly wrong.
    sigma : Tensor of float32, shape (N,)
        The noise levels as they are told, within 20 %.
    """

    observed: torch.Tensor
    clean: torch.Tensor
    psf: torch.Tensor
    sigma: torch.Tensor


def blur_batch(
    pictures: Pictures,
    psfs: tuple[torch.Tensor, torch.Tensor],
    count: int,
    size: int,
    generator: torch.Generator,
) -> BlurBatch:
    """Draw blurred frames, wholly on the pictures' device.

    Parameters
    ----------
    pictures : Pictures
        Clean pictures.
    psfs : pair of Tensor, shape (P, 41, 41)
        As from `psf_pool`.
    count, size : int
        Number of frames and side of the scenes.
    generator : torch.Generator
        On the pictures' device; the batch depends on its state alone.

    Returns
    -------
    BlurBatch
        A new batch.
    """
    device = pictures.flat.device

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(shape or (count,), device=device, generator=generator) * (high - low) + low

    clean = pictures.crops(count, size, generator)
    # A picture at half its size is sharper and cleaner; each batch has some, where pictures are large enough.
    halves = count // 8
    if halves and pictures.largest >= 2 * size:
        clean[:halves] = torch.nn.functional.avg_pool2d(pictures.crops(halves, 2 * size, generator), 2)
    changed = (uniform(0, 1) < 0.4)[:, None, None, None]
    gains = uniform(0.5, 1.05)[:, None, None, None] * uniform(0.85, 1.15, count, 3)[..., None, None]
    clean = torch.where(changed, (clean * gains).clamp(max=1), clean)
    gray = (uniform(0, 1) < 0.08)[:, None, None, None]
    clean = torch.where(gray, clean.mean(1, keepdim=True), clean)

    which = torch.randint(psfs[0].shape[0], (count,), device=device, generator=generator)
    blurred = blur.convolve_valid(clean, psfs[0][which])
    sigma = torch.exp(uniform(float(np.log(1e-3)), float(np.log(0.06)))) * (uniform(0, 1) >= 0.06)
    photon = sigma**2 * uniform(0.2, 2.0) * (uniform(0, 1) < 0.2)
    white = torch.randn(blurred.shape, device=device, generator=generator)
    # A gray picture is given to the net as three equal planes: its noise is equal too.
    white = torch.where(gray, white[:, :1], white)
    column = (slice(None), None, None, None)
    observed = blur.expose(blurred, white, sigma[column], photon[column])
    stored = uniform(0, 1) < 0.25
    observed = torch.where(stored[column], blur.expose(observed, white, 0.0, bits=8), observed)
    variance = sigma**2 + photon * blurred.mean((1, 2, 3)) + stored * (1 / (12 * 255**2))
    return BlurBatch(observed, clean, psfs[1][which], variance.sqrt() * uniform(0.8, 1.2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=pack.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--max-bytes", type=int, default=50_000_000)
    arguments = parser.parse_args()
    print(pack(arguments.folders, arguments.out, arguments.max_bytes))
