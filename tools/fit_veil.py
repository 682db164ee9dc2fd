"""Fit the weights of `imgrestore/classical/reflection_veil_weights.py` to synthetic reflections of clean photographs.

    python tools/fit_veil.py FOLDER_OF_CLEAN_PICTURES --out imgrestore/classical/reflection_veil_weights.py

Pairs of pictures make reflections, single crops and whole pictures are without any. Both rules are linear, and sparse
by an L1 penalty. One picture in five is held out of the fit, and what is printed is measured on those. The library's
weights were fitted in this way to 3600 crops of 560 photographs; a few hundred crops serve to see that it works.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from imgrestore.classical.reflection_veil import cues
from imgrestore.degrade import reflection

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}
SIDE = 224
# Of the cells of a picture, so many are fitted.
CELLS = 100
COMPRESSED = 0.7
HELD_OUT = 5
# Blur of the true light before it is compared: the rule knows no finer shapes.
COARSE = 6
PRESENCE_PENALTY, AMOUNT_PENALTY = 0.008, 0.003
# A picture taken for a reflection that is none costs more than one that is missed.
CLEAN_WEIGHT = 2.0
HEAD = "Weights of the cues of a veil: of the score that says whether there is one, and of its light at each place."


def read(path):
    """A picture as RGB in [0, 1], float32."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise SystemExit(f"{path} cannot be read as a picture")
    return np.ascontiguousarray(pixels[..., ::-1]).astype(np.float32) / 255


def crop(picture, rng):
    """A square of a picture that was reduced to little more than it, mirrored or not."""
    height, width = picture.shape[:2]
    scale = max(min(rng.uniform(1, 1.35) * SIDE / min(height, width), 1.0), SIDE / min(height, width))
    size = (max(SIDE, round(width * scale)), max(SIDE, round(height * scale)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = rng.integers(0, size[1] - SIDE + 1), rng.integers(0, size[0] - SIDE + 1)
    picture = picture[top : top + SIDE, left : left + SIDE]
    return np.ascontiguousarray(picture[:, ::-1] if rng.random() < 0.5 else picture)


def reflected(scene, other, rng):
    """The scene under the blurred light of the other one, added as display-coded values."""
    light = np.ascontiguousarray(other.transpose(2, 0, 1))
    params = reflection.ReflectionParams(light, (1.0,), sigma=float(rng.uniform(2, 5)), linear=False, dimmed=True)
    planes = torch.from_numpy(np.ascontiguousarray(scene.transpose(2, 0, 1)))
    return np.ascontiguousarray(reflection.apply(planes, params).numpy().transpose(1, 2, 0))


def compressed(picture, rng):
    """As most pictures are: through JPEG, often."""
    if rng.random() >= COMPRESSED:
        return picture
    pixels = (picture[..., ::-1] * 255).round().astype(np.uint8)
    coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(75, 98))])[1]
    return np.ascontiguousarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]).astype(np.float32) / 255


def examples(paths, count, rng):
    """Cues of whole pictures, of crops, and of crops under a reflection with its true light: (scene, places, light)."""
    for path in paths:
        yield cues(read(path))[0], None, None
    for i in range(count):
        first, second = rng.choice(len(paths), 2, replace=False)
        clean = crop(read(paths[first]), rng)
        if i % 3 == 2:
            yield cues(compressed(clean, rng))[0], None, None
            continue
        observed = compressed(reflected(clean, crop(read(paths[second]), rng), rng), rng)
        scene, places = cues(observed)
        rows, columns = next(iter(places.values())).shape[:2]
        light = cv2.GaussianBlur(observed - clean, (0, 0), COARSE)
        light = cv2.resize(light, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1, 3)
        chosen = rng.choice(rows * columns, min(CELLS, rows * columns), replace=False)
        yield scene, {name: plane.reshape(-1, 3)[chosen] for name, plane in places.items()}, light[chosen]


def sparse(gradient, size, step, penalty, rounds):
    """Minimise a smooth function plus an L1 penalty on all numbers but the last, by accelerated proximal gradients."""
    best, ahead, pace = torch.zeros(size), torch.zeros(size), 1.0
    for _ in range(rounds):
        moved = ahead - step * gradient(ahead)
        moved[:-1] = moved[:-1].sign() * (moved[:-1].abs() - step * penalty).clamp(min=0)
        following = (1 + (1 + 4 * pace * pace) ** 0.5) / 2
        ahead = moved + (pace - 1) / following * (moved - best)
        best, pace = moved, following
    return best.numpy()


def standard(rows):
    """Rows made of mean 0 and deviation 1, with a column of ones; the means and deviations."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    return torch.from_numpy(np.column_stack([(rows - mean) / deviation, np.ones(len(rows))])).float(), mean, deviation


def plain(weights, mean, deviation):
    """Weights of standardised cues as weights of the cues themselves, and a bias."""
    own = weights[:-1] / deviation
    return own, float(weights[-1] - own @ mean)


def fit_presence(rows, veiled, rounds):
    """Logistic regression of whether there is a veil."""
    data, mean, deviation = standard(rows)
    truth = torch.from_numpy(veiled).float()
    cost = torch.where(truth > 0, 1.0, CLEAN_WEIGHT)
    step = 1 / float(torch.linalg.eigvalsh(data.T @ (cost[:, None] * data) / len(data))[-1] / 4)

    def gradient(weights):
        return data.T @ (cost * (torch.sigmoid(data @ weights) - truth)) / len(data)

    return plain(sparse(gradient, data.shape[1], step, PRESENCE_PENALTY, rounds), mean, deviation)


def fit_amount(rows, light, rounds):
    """Linear regression of the light."""
    data, mean, deviation = standard(rows)
    product = data.T @ data / len(data)
    wanted = data.T @ torch.from_numpy(light).float() / len(data)
    step = 1 / float(torch.linalg.eigvalsh(product)[-1])
    weights = sparse(lambda now: product @ now - wanted, data.shape[1], step, AMOUNT_PENALTY, rounds)
    return plain(weights, mean, deviation)


def table(name, names, weights, bias):
    """The source of one rule."""
    lines = "".join(f'    "{cue}": {weight:.5g},\n' for cue, weight in zip(names, weights, strict=True) if weight)
    return f"{name}: dict[str, float] = {{\n{lines}}}\n{name}_BIAS = {bias:.5g}\n"


def gathered(paths, count, rng):
    """Examples as arrays: cues of scenes, whether they are veiled, cues of cells, their light, and all names."""
    made = list(examples(paths, count, rng))
    names = list(made[0][0])
    scenes = np.array([[scene[name] for name in names] for scene, _, _ in made])
    places = list(next(one for _, one, _ in made if one is not None))
    cells, lights = [], []
    for row, (_, maps, light) in zip(scenes, made, strict=True):
        if maps is not None:
            local = np.stack([maps[name] for name in places], axis=-1).reshape(-1, len(places))
            cells.append(np.column_stack([local, np.broadcast_to(row, (len(local), len(row)))]))
            lights.append(light.ravel())
    veiled = np.array([maps is not None for _, maps, _ in made])
    return scenes, veiled, np.concatenate(cells), np.concatenate(lights), names, [*places, *names]


def main():
    """Make the examples, fit, say how well it went on the pictures held out, and print or write the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of clean photographs")
    parser.add_argument("--count", type=int, default=3600, help="crops to fit to; a fifth as many are held out")
    parser.add_argument("--rounds", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="file to write; by default the weights are printed")
    options = parser.parse_args()
    paths = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in ENDINGS)
    kept, held = [p for i, p in enumerate(paths) if i % HELD_OUT], paths[::HELD_OUT]
    if len(held) < 2 or options.count < 30:
        parser.error(f"{len(paths)} pictures and {options.count} crops; expected 6 and 30 at least")
    rng = np.random.default_rng(options.seed)
    scenes, veiled, cells, lights, names, all_names = gathered(kept, options.count, rng)
    presence, presence_bias = fit_presence(scenes, veiled, options.rounds)
    amount, amount_bias = fit_amount(cells, lights, options.rounds)

    scenes, veiled, cells, lights, _, _ = gathered(held, options.count // HELD_OUT, rng)
    score = scenes @ presence + presence_bias
    ranked = float((score[veiled][:, None] > score[~veiled]).mean())
    error = float(np.sqrt(np.mean((cells @ amount + amount_bias - lights) ** 2)))
    print(f"held out: a veiled picture scores higher than a clean one in {ranked:.1%} of pairs;", end=" ")
    print(f"highest score of a clean one {score[~veiled].max():.2f};", end=" ")
    print(f"error of the light {error:.3f}, deviation of the light itself {lights.std():.3f}")
    source = "\n".join(
        [
            f'"""{HEAD}"""\n',
            table("PRESENCE", names, presence, presence_bias),
            table("AMOUNT", all_names, amount, amount_bias),
        ]
    )
    if options.out:
        options.out.write_text(source, encoding="utf-8")
    else:
        print(source)


if __name__ == "__main__":
    main()
