"""Pack folders of pictures: ``python -m imgrestore.data FOLDER... --out FILE``."""

from __future__ import annotations

import argparse

from imgrestore.data.pack import pack

parser = argparse.ArgumentParser(description=pack.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("folders", nargs="+")
parser.add_argument("--out", required=True)
parser.add_argument("--max-bytes", type=int, default=50_000_000)
arguments = parser.parse_args()
print(pack(arguments.folders, arguments.out, arguments.max_bytes))
