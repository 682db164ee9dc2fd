"""Builds the native libraries where it can; pyproject.toml says everything else."""

import os
import shutil
from glob import glob
from pathlib import Path

from setuptools import setup

# The stable ABI of torch 2.10 (and, by py_limited_api, of Python 3.10): one library for these and all later versions.
TARGET = "-DTORCH_TARGET_VERSION=0x020a000000000000"


def say(reason: object) -> None:
    text = str(reason).strip()
    print(f"imgrestore: installing without native code, the ops run in torch: {text.splitlines()[-1] if text else '?'}")


def say_without_cuda(reason: str) -> None:
    print(f"imgrestore: no CUDA kernels, CUDA tensors run in torch: {reason}")


def native() -> dict:
    if os.environ.get("IMGRESTORE_NATIVE") == "0":
        say("IMGRESTORE_NATIVE=0")
        return {}
    find_toolkit()
    try:
        from torch.utils import cpp_extension
        from torch.utils.cpp_extension import BuildExtension, CppExtension, CUDAExtension
    except Exception as error:
        say(f"torch is not there to build with ({error}); pip install --no-build-isolation uses the torch installed")
        return {}

    class OptionalBuild(BuildExtension):
        """A build that fails leaves the package without its library, never uninstalled."""

        def build_extensions(self) -> None:
            try:
                super().build_extensions()
            except (Exception, SystemExit) as error:  # a compiler is not to torch's liking, perhaps that of CUDA alone
                if any(one.name.endswith("_cuda") for one in self.extensions):
                    say_without_cuda(" ".join(str(error).split()))
                self.extensions = [one for one in self.extensions if not one.name.endswith("_cuda")]
                self._attempt(super().build_extensions)

        def build_extension(self, ext: object) -> None:
            self._attempt(super().build_extension, ext)

        def _attempt(self, step: object, *arguments: object) -> None:
            try:
                step(*arguments)
            except (Exception, SystemExit) as error:
                say(f"{type(error).__name__}: {error}")

    return {
        "ext_modules": [*cpu(CppExtension), *cuda(CUDAExtension, cpp_extension.CUDA_HOME)],
        "cmdclass": {"build_ext": OptionalBuild},
        "options": {"bdist_wheel": {"py_limited_api": "cp310"}},
    }


def find_toolkit() -> None:
    """Tell torch where CUDA is: it takes the folder above that of `nvcc`, which may be a script that calls another."""
    nvcc = shutil.which("nvcc")
    homes = [*([Path(nvcc).resolve().parents[1]] if nvcc else []), Path("/usr/local/cuda")]
    found = [str(home) for home in homes if (home / "include" / "cuda_runtime.h").exists()]
    if found:
        os.environ.setdefault("CUDA_HOME", found[0])


def cpu(extension: type) -> list:
    # `make sanitize`: a build that stops at the first access out of bounds, for the tests only
    sanitized = os.environ.get("IMGRESTORE_SANITIZE") == "1"
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if sanitized else []
    flags = ["-O2", "-std=c++17", "-fvisibility=hidden", "-Wno-ignored-attributes", TARGET, *sanitize]
    flags += ["-O1", "-g", "-fno-omit-frame-pointer"] if sanitized else ["-g0"]
    sources = glob("csrc/*.cpp") + glob("csrc/cpu/**/*.cpp", recursive=True)
    return [extension("imgrestore._C", sorted(sources), extra_link_args=sanitize, **settings({"cxx": flags}))]


def cuda(extension: type, toolkit: str | None) -> list:
    """The kernels for NVIDIA GPUs, where there is a toolkit (CUDA_HOME) and a torch for CUDA; it takes no GPU."""
    import torch

    if torch.version.cuda is None or os.environ.get("IMGRESTORE_CUDA") == "0":
        return []
    if toolkit is None:
        say_without_cuda("no toolkit found, see CUDA_HOME")
        return []
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", "8.0;8.6;8.9;9.0+PTX")
    common = ["-std=c++17", "-DUSE_CUDA", TARGET]
    flags = {"cxx": ["-O2", "-g0", "-fvisibility=hidden", *common], "nvcc": ["-O3", *common]}
    return [extension("imgrestore._C_cuda", sorted(glob("csrc/cuda/*.c*")), **settings(flags))]


def settings(flags: dict) -> dict:
    headers = sorted(glob("csrc/**/*.h", recursive=True))
    return {"depends": headers, "extra_compile_args": flags, "py_limited_api": True, "optional": True}


setup(**native())
