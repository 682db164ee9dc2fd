"""What the tests of training share: small pictures, small settings, and a tiny ground that takes milliseconds."""

import csv
import shlex
import signal
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn
from typer.testing import CliRunner

from imgrestore.cli import app
from imgrestore.losses import LOSSES
from imgrestore.train import deblur
from imgrestore.train.options import Options
from imgrestore.train.report import Silence
from imgrestore.train.run import Run
from imgrestore.train.scores import PSNR
from imgrestore.train.trainer import Trainer

SMALL = shlex.split(
    "--batch 2 --size 96 --psfs 40 --width 8 --blocks 1,1 --features 4 --log-every 1 --validation 2 --device cpu "
    "--iterations 3"
)


def draw_pictures(where, count=8, size=100):
    """Write procedural pictures into a new folder."""
    where.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        noise = gaussian_filter(rng.normal(size=(size, size + 10 + i, 3)), (3, 3, 0))
        picture = np.where(noise > 0, 0.8, 0.2) * rng.uniform(0.5, 1.0, 3)
        Image.fromarray((picture * 255).astype(np.uint8)).save(where / f"{i}.png")
    return where


def arguments(folder, out, *more):
    """The command line of a run of seconds."""
    return ["train", "deblur", "--clean", str(folder), "--out", str(out), *SMALL, *more]


def options(folder, out, **more):
    """The options of that command line."""
    net = {"width": 8, "blocks": (1, 1), "features": 4, **more.pop("net", {})}
    fixed = {"batch": 2, "size": 96, "psfs": 40, "validation": 2, "iterations": 3, "log_every": 1, "device": "cpu"}
    return Options("deblur", str(out), clean=str(folder), net=net, **{**fixed, **more})


def tiny(out, **more):
    """Options for a `TinyGround`."""
    return Options("deblur", str(out), **{"batch": 4, "device": "cpu", "log_every": 1, "steps": 8, **more})


def run(options, ground=None):
    """Train quietly; the trainer and how it ended."""
    trainer = Trainer(options, ground)
    return trainer, Run(trainer, Silence()).run()


def command(*words):
    """Run the command line here; its result."""
    return CliRunner().invoke(app, [str(word) for word in words])


def logged(out):
    """Loss by step, in the order of ``log.csv``."""
    with (out.with_suffix("") / "log.csv").open() as stream:
        return {int(row["step"]): row["loss"] for row in csv.DictReader(stream)}


@dataclass(frozen=True)
class TinyConfig:
    width: int = 3

    def to_dict(self):
        return asdict(self)


class TinyNet(nn.Module):
    """A colour change and a small convolution, the identity at first."""

    def __init__(self):
        super().__init__()
        self.config = TinyConfig()
        self.mix = nn.Conv2d(3, 3, 1)
        self.near = nn.Conv2d(3, 3, 3, padding=1)
        with torch.no_grad():
            self.mix.weight.copy_(torch.eye(3)[..., None, None])
            for parameter in (self.mix.bias, self.near.weight, self.near.bias):
                parameter.zero_()

    def forward(self, x):
        return self.mix(x) + self.near(x)


class TinyGround:
    """Learns to undo a change of tones."""

    needs = takes = ()
    defaults = {}  # noqa: RUF012
    measure = PSNR

    def __init__(self, options, device):
        self.options, self.device, self.loss = options, device, LOSSES[options.loss]
        self.sets, self.held, self.count, self.fingerprint = ["tiny"], ["a"], 1, {}

    def net(self):
        return TinyNet()

    def batch(self, step, part):
        generator = torch.Generator().manual_seed(self.options.seed_of(step, part))
        clean = torch.rand(self.options.part_size, 3, 4, 4, generator=generator)
        clean = nn.functional.interpolate(clean, size=(16, 16), mode="bilinear")
        return 0.6 * clean + 0.1, clean

    def step_loss(self, net, batch):
        return self.loss(net(batch[0]), batch[1], None)

    @torch.no_grad()
    def validate(self, net):
        observed, clean = self.batch(10**6, 0)
        before, after = (-10 * (x - clean).square().mean().log10() for x in (observed, net(observed)))
        return {"before tiny": float(before), "net tiny": float(after)}

    def remarks(self, net):
        return {"weight": float(next(net.parameters()).abs().mean())}

    def samples(self, net):
        return np.zeros((4, 4, 3), np.uint8)


class Interrupted(deblur.DeblurGround):
    """Is told to stop in its third step."""

    def batch(self, step, part):
        if step == 2:
            signal.raise_signal(signal.SIGTERM)
        return super().batch(step, part)
