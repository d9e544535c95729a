"""Draw the four maps that lesson 6 opens with, and keep them here with their record: ``make maps``.

Three thousand items of the test set, by their pixels and by the kept network's feature vectors, on the first two
principal axes and by t-SNE. A map has places only: the images come from Fashion-MNIST, neighbours are looked for anew.
"""

import hashlib
import io

import numpy as np
import sklearn
import torch
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from helpers import files
from helpers.lessons import lesson_06
from helpers.models import CHECKPOINT

PERPLEXITY = 30


def places_of(vectors: np.ndarray, like: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
    """PCA's map of the vectors ``(N, D)`` and t-SNE's, each ``(N, 2)``, turned so that they are easy to compare.

    A principal axis has no front and back, so it may be reversed, here to run as on the map ``like``. A t-SNE map may
    be rotated and mirrored; it is, to come near PCA's.
    """
    pca = PCA(2).fit_transform(vectors)
    if like is not None:
        pca *= np.sign((pca * like).sum(axis=0))
    tsne = TSNE(perplexity=PERPLEXITY, random_state=seed).fit_transform(vectors)
    left, _, right = np.linalg.svd((tsne - tsne.mean(axis=0)).T @ pca)
    return {"PCA": pca, "t-SNE": tsne @ left @ right}


def as_whole_numbers(places: np.ndarray) -> np.ndarray:
    """Places ``(N, 2)`` as numbers from 0 to 65,535, both axes on one scale, in the middle of a square."""
    low, high = places.min(axis=0), places.max(axis=0)
    return np.round(((places - (low + high) / 2) / (high - low).max() + 0.5) * 65_535).astype(np.uint16)


def kept_share(vectors: torch.Tensor, places: np.ndarray) -> float:
    """The share of each vector's ten nearest that are among the ten nearest on the map."""
    return round(lesson_06.share_kept(vectors, torch.from_numpy(places.astype(np.float64))), 4)


def main(count: int = lesson_06.COUNT, seed: int = 0) -> None:
    """Draw the maps; what is interrupted leaves the files as they were."""
    spaces = lesson_06.map_spaces(count)
    features = places_of(spaces["features"].numpy(), None, seed)
    pixels = places_of(spaces["pixels"].numpy(), features["PCA"], seed)
    maps = {f"pixels, {kind}": as_whole_numbers(places) for kind, places in pixels.items()}
    maps |= {f"features, {kind}": as_whole_numbers(places) for kind, places in features.items()}
    kept = {name: kept_share(spaces[name.partition(",")[0]], places) for name, places in maps.items()}
    file = io.BytesIO()
    np.savez_compressed(file, **maps)
    record = {
        "command": "make maps",
        "items": f"the first {count:,} of the test set",
        "seed": seed,
        "perplexity": PERPLEXITY,
        "scikit-learn": sklearn.__version__,
        "torch": torch.__version__,
        "network_sha256": hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest(),
        "ten_nearest_kept": kept,
    }
    files.write_together({lesson_06.MAPS: file.getvalue(), lesson_06.MAPS.with_suffix(".json"): files.as_json(record)})
    print(f"{count:,} items on {len(maps)} maps; kept as {lesson_06.MAPS.name}")


if __name__ == "__main__":
    main()
