"""The benchmarks on a GPU: `make gpu-bench`, or `python -m benchmarks.gpu`; with `--quick --device cpu` a dry run."""
