"""Parts of `make gpu`: is the native code for CUDA in use, and does compute-sanitizer find fault with it?"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOUND = 86  # what compute-sanitizer ends with where it finds an error, and pytest never
OURS = "imgrestore"


@dataclass(frozen=True)
class Tool:
    """One of compute-sanitizer's, and how many tests of each file run under it."""

    name: str
    sample: int
    # Kernels of torch are left out where that hides nothing. Memory that they fill would count as never written.
    ours_only: bool


TOOLS = (Tool("memcheck", 10, True), Tool("racecheck", 10, True), Tool("initcheck", 2, False))


def check() -> int:
    """Print what `build_info` says; 1 where the CPU's or CUDA's library is not in use."""
    import torch

    from imgrestore._native import build_info
    from imgrestore.cli.info import rows

    facts = build_info()
    for name, value in rows(facts):
        print(f"{name:16} {value}")
    missing = [kind for kind in ("native", "cuda") if not facts[kind]["loaded"]]
    for kind in missing:
        print(f"gpu-build: {kind} is not in use: {facts[kind]['reason']}")
    if not torch.cuda.is_available():
        print("gpu-build: torch sees no GPU here; what was built is for others")
    print(f"gpu-build: {'FAILED' if missing else 'built and loaded'}")
    return 1 if missing else 0


def architectures() -> int:
    """Print those of the GPUs that are here as TORCH_CUDA_ARCH_LIST has them, or nothing."""
    import torch

    if torch.cuda.is_available():
        found = {torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())}
        print(";".join(f"{major}.{minor}" for major, minor in sorted(found)))
    return 0


def sanitize(out: Path, minutes: float, tools: list[str], extra: list[str]) -> int:
    """Run a sample of the device tests under each tool; 1 where any of them finds an error or does not run."""
    program = sanitizer()
    if program is None:
        print("gpu-sanitize: FAILED: no compute-sanitizer in CUDA_HOME/bin, beside nvcc, or in PATH")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for tool in TOOLS:
        if tool.name in tools:
            begin = time.monotonic()
            verdict = run(program, tool, out / f"{tool.name}.log", 60 * minutes, extra)
            results.append((tool.name, *verdict, time.monotonic() - begin))
            print(f"{tool.name}: {verdict[0]}", flush=True)
    print(f"\n{'tool':12} {'result':44} {'tests':24} seconds")
    for name, verdict, tests, seconds in results:
        print(f"{name:12} {verdict:44} {tests:24} {seconds:.0f}")
    good = all(verdict == "clean" for _, verdict, *_ in results)
    print(f"gpu-sanitize: {'clean' if good else f'FAILED, see the logs in {out}'}")
    return 0 if good else 1


def sanitizer() -> str | None:
    """The program's path, or None."""
    nvcc = shutil.which("nvcc")
    homes = [os.environ.get("CUDA_HOME"), *([str(Path(nvcc).resolve().parents[1])] if nvcc else []), "/usr/local/cuda"]
    places = [os.pathsep.join([f"{home}/bin", f"{home}/compute-sanitizer"]) for home in homes if home]
    found = (shutil.which("compute-sanitizer", path=place) for place in (*places, os.environ.get("PATH")))
    return next(filter(None, found), None)


def run(program: str, tool: Tool, log: Path, seconds: float, extra: list[str]) -> tuple[str, str]:
    """What a tool says of the tests, and what pytest says of them."""
    words = ["--tool", tool.name, "--target-processes", "all", "--print-limit", "50"]
    if tool.ours_only:
        words += ["--kernel-regex", f"kns={OURS}", "--error-exitcode", str(FOUND)]
    if tool.name == "memcheck":
        words += ["--report-api-errors", "no"]  # the launchers see to those
    tests = [str(p) for p in sorted((ROOT / "tests").glob("test_device_*.py")) if p.stem != "test_device_gpu_only"]
    pytest = ["-m", "pytest", "--device", "cuda", "--sample", str(tool.sample), "-x", "--tb=short", *extra, *tests]
    command = [program, *words, sys.executable, *pytest]
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    with log.open("w") as file:
        options = {"cwd": ROOT, "env": environment, "stdout": file, "stderr": subprocess.STDOUT}
        try:
            process = subprocess.Popen(command, start_new_session=True, **options)
        except OSError as error:
            return f"does not start: {error.strerror}", ""
        try:
            code: int | None = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # the tests under it, too
                process.wait()
    text = log.read_text(errors="replace")
    passed = re.findall(r"^.*\b\d+ (?:passed|failed|error).* in [\d.]+s.*$", text, re.MULTILINE)
    return judge(tool, code, text, bool(passed)), passed[-1].strip("= ")[:24] if passed else "none"


def judge(tool: Tool, code: int | None, text: str, ran: bool) -> str:
    """One word where all is well, else why not."""
    if code is None:
        return "stopped: it took too long"
    if "Device not supported" in text:
        return "does not run here: device not supported"
    if not tool.ours_only:
        reports = re.findall(r"=+ Uninitialized[^\n]*\n=+\s+at ([^\n]*)", text)
        ours = sum(OURS in place for place in reports)
        if ours:
            return f"{ours} reads of what was never written"
    if code == FOUND:
        summary = re.findall(r"=+ (?:ERROR|RACECHECK) SUMMARY: ([^\n]*)", text)
        return (summary[-1] if summary else "errors")[:44]
    if "SUMMARY:" not in text:
        return f"does not run here (status {code})"
    if code or not ran:
        return f"the tests fail (status {code})"
    return "clean"


def main(arguments: list[str] | None = None) -> int:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("check", "architectures", "sanitize"))
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "gpu", help="where logs go")
    parser.add_argument("--minutes", type=float, default=3, help="the most for each tool")
    parser.add_argument("--tools", nargs="+", choices=[t.name for t in TOOLS], default=[t.name for t in TOOLS])
    options, extra = parser.parse_known_args(arguments)
    if options.part == "sanitize":
        return sanitize(options.out, options.minutes, options.tools, extra)
    return check() if options.part == "check" else architectures()


if __name__ == "__main__":
    sys.exit(main())
