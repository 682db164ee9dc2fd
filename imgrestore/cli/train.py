"""``imgrestore train``: pictures in, a net's weights out; may be stopped and continued at any moment."""

from __future__ import annotations

import shlex
import signal
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

USAGE, FAILED, SIGNALLED = 2, 1, 128
NET, LEARNING, DATA, RUN = "Net", "Learning", "Data", "Run"


class TaskName(str, Enum):
    """The tasks whose nets can be trained, for the command line's help."""

    deblur = "deblur"
    demoire = "demoire"
    deshadow = "deshadow"
    dereflect = "dereflect"
    despecular = "despecular"
    derust = "derust"
    diagnose = "diagnose"


class OptimizerName(str, Enum):
    """The optimizers, for the command line's help."""

    adam = "adam"
    adamw = "adamw"
    sgd = "sgd"
    momentum = "momentum"
    rmsprop = "rmsprop"


class LossName(str, Enum):
    """The losses, for the command line's help."""

    mse = "mse"
    mae = "mae"
    charbonnier = "charbonnier"
    ssim = "ssim"
    psnr = "psnr"
    psnr30 = "psnr30"


class CompileName(str, Enum):
    """What is done with torch.compile, for the command line's help."""

    off = "off"
    auto = "auto"
    conv = "conv"
    shift = "shift"


def command(
    task: Annotated[TaskName, typer.Argument(metavar="TASK", help="Whose net.")],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE", help="The weights, FILE.safetensors; the run's folder is FILE."),
    ],
    clean: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Clean pictures: a folder, or a file packed by python -m imgrestore.data."),
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Damaged pictures and what they were: a folder or packed file.")
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="deshadow, dereflect: pictures and masks of their damage: a folder or packed file."
        ),
    ] = None,
    textures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="derust: photographs of rust, which crusts shall look like; as clean."),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="diagnose: a folder for each class of pictures, or CIFAR-10's own files."),
    ] = None,
    real: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DAMAGE=DIR",
            help="diagnose: photographs that show blur, moire, shadow, reflection, specular, rust or none.",
        ),
    ] = None,
    on: Annotated[
        list[Path] | None,
        typer.Option(metavar="PICTURE", help="Adapt a net to pictures or folders of one's own, without any truth."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --on: the weights to begin with, not those that ship.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Length of the schedule.")] = 60.0,
    steps: Annotated[int, typer.Option(help="Length of the schedule in steps, instead of minutes.")] = 0,
    slice: Annotated[float, typer.Option(help="Stop after so many minutes; the same command goes on.")] = 0.0,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the last checkpoint, or start anew over it.")
    ] = True,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ...; CUDA by default, where there is one.")] = "",
    compile: Annotated[CompileName, typer.Option(help="torch.compile; auto times it and takes the fastest.")] = (
        CompileName.off
    ),
    bf16: Annotated[
        bool | None, typer.Option("--bf16/--no-bf16", help="Compute in bfloat16; by default on CUDA only.")
    ] = None,
    log_every: Annotated[int, typer.Option(help="Steps between rows of log.csv.", rich_help_panel=RUN)] = 50,
    validate_every: Annotated[
        float, typer.Option(help="Seconds between validations, at least ten times what one takes.", rich_help_panel=RUN)
    ] = 90.0,
    save_every: Annotated[float, typer.Option(help="Seconds between checkpoints.", rich_help_panel=RUN)] = 60.0,
    optimizer: Annotated[OptimizerName | None, typer.Option(help="adamw by default.", rich_help_panel=LEARNING)] = None,
    loss: Annotated[LossName | None, typer.Option(help="By default the task's.", rich_help_panel=LEARNING)] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="Highest learning rate; by default the optimizer's own.", rich_help_panel=LEARNING),
    ] = None,
    decay: Annotated[float | None, typer.Option(help="Weight decay.", rich_help_panel=LEARNING)] = None,
    batch: Annotated[int | None, typer.Option(help="Pictures of a step.", rich_help_panel=LEARNING)] = None,
    parts: Annotated[
        int,
        typer.Option(
            help="Parts of a batch, shared out to the processes, each taking its own one after another: more need "
            "less memory. One for each process by default.",
            rich_help_panel=LEARNING,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of weights and data.", rich_help_panel=LEARNING)] = 0,
    size: Annotated[int | None, typer.Option(help="Side of the crops, pixels.", rich_help_panel=DATA)] = None,
    validation: Annotated[
        int | None, typer.Option(help="Pictures held out to validate; by default the task's.", rich_help_panel=DATA)
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that prepare data.", rich_help_panel=DATA)] = 0,
    psfs: Annotated[int | None, typer.Option(help="deblur: PSFs to draw from.", rich_help_panel=DATA)] = None,
    iterations: Annotated[
        int | None, typer.Option(help="deblur: iterations of the classical estimate.", rich_help_panel=DATA)
    ] = None,
    width: Annotated[int | None, typer.Option(help="Channels at half resolution.", rich_help_panel=NET)] = None,
    blocks: Annotated[
        str | None,
        typer.Option(metavar="N,N,N", help="Blocks of each level, the last number the bottom's.", rich_help_panel=NET),
    ] = None,
    stages: Annotated[int | None, typer.Option(help="deblur: looks at the picture.", rich_help_panel=NET)] = None,
    features: Annotated[
        int | None, typer.Option(help="deblur: learned features that are deconvolved.", rich_help_panel=NET)
    ] = None,
) -> None:
    """Train the net of a task.

    The same command goes on where it was stopped or killed. The net that scored best on the held-out pictures is
    exported, with a card beside it.

    With --on, which may be given several times, a net goes on from weights that there are: what the task makes of the
    pictures is damaged again, and the net learns to come back. It stops where the held-out parts come back no better.

    Under torchrun several processes train one net: torchrun --nproc-per-node 2 -m imgrestore train deblur ...

    Status: 0 when the schedule or the slice is over, 1 for an error, 2 where the call makes no sense, 130 or 143 when
    a signal ended it.
    """
    from imgrestore.train.adapt import adapted
    from imgrestore.train.ground import CallError, TrainError, options_for
    from imgrestore.train.run import FINISHED, SLICE, train

    try:
        sizes: dict[str, Any] = {"width": width, "blocks": _numbers(blocks), "stages": stages, "features": features}
        given: dict[str, Any] = {
            "out": str(out),
            "clean": str(clean or ""),
            "pairs": str(pairs or ""),
            "masks": str(masks or ""),
            "textures": str(textures or ""),
            "classes": str(classes or ""),
            "real": tuple(real) if real else None,
            "minutes": minutes,
            "steps": steps,
            "slice": slice,
            "resume": resume,
            "device": device,
            "compile": compile.value,
            "bf16": bf16,
            "log_every": log_every,
            "validate_every": validate_every,
            "save_every": save_every,
            "optimizer": optimizer and optimizer.value,
            "loss": loss and loss.value,
            "lr": lr,
            "decay": decay,
            "batch": batch,
            "parts": parts,
            "seed": seed,
            "size": size,
            "validation": validation,
            "workers": workers,
            "psfs": psfs,
            "iterations": iterations,
            "net": {name: value for name, value in sizes.items() if value is not None},
            "command": shlex.join(["imgrestore", *sys.argv[1:]]),
        }
        if weights is not None and not on:
            raise CallError(f"--weights is {weights}; expected it with --on, which goes on from them")
        if on:
            # What is wrong with the call is told before any picture is restored.
            options_for(task.value, {**given, "clean": "."})
            given = adapted(task.value, given, on, weights)
        options = options_for(task.value, given)
        ended = train(options)
    except CallError as error:
        _end(error, USAGE)
    except TrainError as error:
        _end(error, FAILED)
    except KeyboardInterrupt:
        _end("interrupted", SIGNALLED + signal.SIGINT)
    if ended not in (FINISHED, SLICE):
        number = getattr(signal, ended, signal.SIGTERM)
        raise typer.Exit(SIGNALLED + number)


def _end(why: object, status: int) -> NoReturn:
    print(f"imgrestore train: {' '.join(str(why).split())}", file=sys.stderr, flush=True)
    raise typer.Exit(status)


def _numbers(text: str | None) -> tuple[int, ...] | None:
    from imgrestore.train.ground import CallError

    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise CallError(f"--blocks is {text!r}; expected whole numbers such as 2,3,5") from None
