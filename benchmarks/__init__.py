"""The benchmarks: `make bench`, or `pytest benchmarks --quick` for a look. They are no part of the package.

Importing this sets the environment that every measurement wants, so it comes before torch.
"""

import os

# Idle threads of torch would otherwise spin, and take the cores from whoever is measured next.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
