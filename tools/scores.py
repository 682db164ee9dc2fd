"""Print what every task gains on the seeded sets of the tests: `python tools/scores.py [demoire deshadow ...]`.

With its net, where it has one, and without; least gain and mask are with it.
"""

import sys
import time
from functools import partial
from pathlib import Path

import imgrestore

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import damaged
import set_moire
import set_reflection
import set_rust
import set_shadow
import set_specular

SETS = {
    "demoire": set_moire.SETS,
    "deshadow": set_shadow.SETS,
    "dereflect": set_reflection.SETS,
    "despecular": set_specular.SETS,
    "derust": set_rust.SETS,
}


def main(names):
    """One line for each set of the tasks named."""
    print("| task | set | pictures | before, dB | classical gain | gain | least gain | with mask | seconds |")
    print("| --- | --- | --: | --: | --: | --: | --: | --: | --: |")
    for name in names:
        task = getattr(imgrestore, name)
        for title, make in SETS[name].items():
            samples = make()
            start = time.perf_counter()
            found = damaged.gains(task, samples)
            seconds = (time.perf_counter() - start) / len(samples)
            plain = damaged.mean(damaged.gains(partial(task, method="classical"), samples))
            masked = "-"
            if all(one.mask is not None for one in samples):
                masked = f"{damaged.mean(damaged.gains(task, samples, with_mask=True)):+.2f}"
            before = sum(one.before for one in found) / len(found)
            gains = f"{plain:+.2f} | {damaged.mean(found):+.2f} | {damaged.worst(found):+.2f}"
            row = (name, title, len(samples), f"{before:.2f}", gains, masked, f"{seconds:.2f}")
            print(f"| {' | '.join(map(str, row))} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or SETS)
