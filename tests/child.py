"""Python in a process of its own: with another environment, or to be interrupted."""

import os
import subprocess
import sys
from pathlib import Path

import imgrestore

PATHS = (str(Path(imgrestore.__file__).parents[1]), str(Path(__file__).parent))


def environment(**changes):
    """The variables of this process with some changed; a child finds the same package, and the modules of the tests."""
    path = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **changes}


def run(*arguments, cwd=None, timeout=None, **changes):
    """Run `python arguments` to its end, which has to be a good one; keywords change variables of the environment."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=environment(**changes),
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def start(*arguments, changes=None, **options):
    """Start `python arguments`; options are those of `subprocess.Popen`."""
    return subprocess.Popen([sys.executable, *arguments], env=environment(**changes or {}), **options)
