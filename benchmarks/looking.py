"""Looking into networks (lessons 5 to 7), timed beside the libraries that people use for it, in one run.

Each way to do it runs in a process of its own, so that its memory can be told: the median of some calls after a first
one that is not counted, and how far the highest memory use of the process rose above what it was before the first.
"""

import json
import multiprocessing
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from captum import attr
from sklearn.manifold import TSNE
from torch import nn

from benchmarks.recipe import machine
from helpers import attribution, data, features, images, models, pretrained

RECORD = Path(__file__).resolve().parents[1] / "data" / "benchmark_looking.json"
LAYER = "features.12"
TARGET = 281  # tabby


@dataclass(frozen=True)
class Result:
    """One way to do one thing: its median time, and the memory that it took at most."""

    task: str
    way: str
    seconds: float
    mebibytes: float


def network_and_picture() -> tuple[nn.Module, torch.Tensor]:
    """SqueezeNet with ReLUs that Captum's hooks can stand, and a photo, ``(1, 3, 224, 224)``."""
    model = pretrained.load()
    for layer in model.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return model, images.square(images.sample("chelsea"))[None]


def feature_vectors() -> torch.Tensor:
    """Of 3,000 garments, ``(3000, 64)``."""
    garments, _ = data.fashion_mnist(train=False)
    return features.embeddings(models.trained_fashion_net(), garments[:3000], "classifier.2", progress=False)


def ours(task: str) -> Callable[[], object]:
    """The course's way, ready to be called."""
    model, picture = network_and_picture()
    if task == "t-SNE":
        vectors = feature_vectors().numpy()
        return lambda: TSNE(random_state=0).fit_transform(vectors)
    return {
        "occlusion": lambda: attribution.occlusion(model, picture, TARGET, progress=False),
        "saliency": lambda: attribution.saliency(model, picture, TARGET),
        "guided backpropagation": lambda: attribution.backpropagate(model, picture, TARGET, "guided"),
        "Grad-CAM": lambda: attribution.grad_cam(model, picture, TARGET, layer=LAYER),
    }[task]


def captums(task: str, at_once: int = 1, channels_last: bool = False) -> Callable[[], object]:
    """Captum's way; for occlusion with so many patches at once, and with its pictures in our order if wanted."""
    model, picture = network_and_picture()
    if channels_last:
        model, picture = (x.to(memory_format=torch.channels_last) for x in (model, picture))
    patches = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 8, 8), "perturbations_per_eval": at_once}

    def grad_cam() -> torch.Tensor:
        maps = attr.LayerGradCam(model, model.get_submodule(LAYER)).attribute(picture, TARGET, relu_attributions=True)
        return attr.LayerAttribution.interpolate(maps, picture.shape[2:], "bilinear")

    def occlude() -> torch.Tensor:
        with torch.no_grad():
            return attr.Occlusion(model).attribute(picture, target=TARGET, baselines=0.5, **patches)

    return {
        "occlusion": occlude,
        "saliency": lambda: attr.Saliency(model).attribute(picture.clone().requires_grad_(), TARGET),
        "guided backpropagation": lambda: attr.GuidedBackprop(model).attribute(
            picture.clone().requires_grad_(), TARGET
        ),
        "Grad-CAM": grad_cam,
    }[task]


def open_tsne(_task: str) -> Callable[[], object]:
    """The other library for t-SNE, with as many steps as scikit-learn takes."""
    import openTSNE

    vectors = feature_vectors().numpy()
    return lambda: openTSNE.TSNE(n_iter=750, n_jobs=-1, random_state=0).fit(vectors)


def measure(make: Callable, task: str, way: str, calls: int, options: dict) -> Result:
    """Time what ``make`` gives; meant to be called in a process of its own."""
    warnings.simplefilter("ignore")
    call = make(task, **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(calls + 1):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Result(task, way, statistics.median(seconds[1:]), (peak - before) / 1024)


def alone(*args) -> Result:
    """:func:`measure` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        result = pool.submit(measure, *args).result()
    print(f"{result.task}, {result.way}: {result.seconds:.3f} s, {result.mebibytes:.0f} MiB", flush=True)
    return result


def differences() -> dict[str, float]:
    """The largest difference between our result and Captum's, on the same picture in the same order in memory."""
    warnings.simplefilter("ignore")
    gaps = {}
    for task in ("occlusion", "saliency", "guided backpropagation", "Grad-CAM"):
        theirs = captums(task, channels_last=True)()
        gap = (ours(task)() - (theirs[:, :1] if task == "occlusion" else theirs)).abs().max()
        gaps[task] = gap.item()
    return gaps


def table(results: list[Result], gaps: dict[str, float]) -> str:
    """The results as a table of Markdown, each way beside ours."""
    lines = ["| | seconds | times ours | MiB |", "|---|---|---|---|"]
    mine = {r.task: r.seconds for r in results if r.way == "the course"}
    for r in results:
        lines.append(f"| {r.task}, {r.way} | {r.seconds:.3f} | {r.seconds / mine[r.task]:.2f} | {r.mebibytes:.0f} |")
    lines += ["", *(f"largest difference from Captum, {task}: {gap:.1e}" for task, gap in gaps.items())]
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and keep the numbers in ``data/benchmark_looking.json``."""
    results = [alone(ours, "occlusion", "the course", 3, {})]
    for at_once in (1, 4, 8, 16, 32):
        results.append(alone(captums, "occlusion", f"Captum, {at_once} at once", 1, {"at_once": at_once}))
    for at_once in (8, 16):
        options = {"at_once": at_once, "channels_last": True}
        results.append(alone(captums, "occlusion", f"Captum, {at_once} at once, channels last", 1, options))
    for task in ("saliency", "guided backpropagation", "Grad-CAM"):
        for way, make in (("the course", ours), ("Captum", captums)):
            results.append(alone(make, task, way, 30, {}))
    results.append(alone(ours, "t-SNE", "the course", 1, {}))
    results.append(alone(open_tsne, "t-SNE", "openTSNE", 1, {}))
    gaps = differences()
    print(f"\n{machine()}\n\n{table(results, gaps)}")
    record = {"command": "make bench", "machine": machine(), "results": [asdict(r) for r in results], "gaps": gaps}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
