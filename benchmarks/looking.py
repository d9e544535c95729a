"""Looking into networks (lessons 5 to 7), timed beside the libraries that people use for it, in one run.

The time is the median of some calls after a first one that is not counted.
"""

import warnings
from collections.abc import Callable
from dataclasses import asdict

import torch
from captum import attr
from sklearn.manifold import TSNE
from torch import nn

from benchmarks.timing import COURSE, Work, alone, keep, machine, median_seconds, table
from helpers import attribution, data, features, files, images, models, pretrained

RECORD = files.DATA / "benchmark_looking.json"
LAYER = "features.12"
TARGET = 281  # tabby


def network_and_photo() -> tuple[nn.Module, torch.Tensor]:
    """SqueezeNet with ReLUs that Captum's hooks can stand, and a photo, ``(1, 3, 224, 224)``."""
    model = pretrained.load()
    for layer in model.modules():
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return model, images.square(images.sample("chelsea"))[None]


def feature_vectors() -> torch.Tensor:
    """Of 3,000 items of Fashion-MNIST, ``(3000, 64)``."""
    items, _ = data.fashion_mnist(train=False)
    return features.embeddings(models.trained_fashion_net(), items[:3000], "classifier.2", progress=False)


def ours(task: str) -> Callable[[], object]:
    """The course's way, ready to be called."""
    model, photo = network_and_photo()
    if task == "t-SNE":
        vectors = feature_vectors().numpy()
        return lambda: TSNE(random_state=0).fit_transform(vectors)
    return {
        "occlusion": lambda: attribution.occlusion(model, photo, TARGET, progress=False),
        "saliency": lambda: attribution.saliency(model, photo, TARGET),
        "guided backpropagation": lambda: attribution.backpropagate(model, photo, TARGET, "guided"),
        "Grad-CAM": lambda: attribution.grad_cam(model, photo, TARGET, layer=LAYER),
        "integrated gradients": lambda: attribution.integrated_gradients(model, photo, TARGET),
    }[task]


def captums(task: str, at_once: int | None = 1, channels_last: bool = False) -> Callable[[], object]:
    """Captum's way, with its photo in our order if wanted.

    For occlusion with so many patches at once, for integrated gradients with so many steps; None is Captum's default,
    all of them.
    """
    order = torch.channels_last if channels_last else torch.contiguous_format
    model, photo = (x.to(memory_format=order) for x in network_and_photo())
    patches = {"sliding_window_shapes": (3, 32, 32), "strides": (3, 8, 8), "perturbations_per_eval": at_once}

    def grad_cam() -> torch.Tensor:
        maps = attr.LayerGradCam(model, model.get_submodule(LAYER)).attribute(photo, TARGET, relu_attributions=True)
        return attr.LayerAttribution.interpolate(maps, photo.shape[2:], "bilinear")

    def integrate() -> torch.Tensor:
        steps = {"n_steps": 50, "internal_batch_size": at_once}
        return attr.IntegratedGradients(model).attribute(photo.clone(), target=TARGET, **steps)

    def occlude() -> torch.Tensor:
        with torch.no_grad():
            return attr.Occlusion(model).attribute(photo, target=TARGET, baselines=0.5, **patches)

    return {
        "occlusion": occlude,
        "saliency": lambda: attr.Saliency(model).attribute(photo.clone().requires_grad_(), TARGET),
        "guided backpropagation": lambda: attr.GuidedBackprop(model).attribute(photo.clone().requires_grad_(), TARGET),
        "Grad-CAM": grad_cam,
        "integrated gradients": integrate,
    }[task]


def open_tsne(_task: str) -> Callable[[], object]:
    """The other library for t-SNE, with as many steps as scikit-learn takes."""
    import openTSNE

    vectors = feature_vectors().numpy()
    return lambda: openTSNE.TSNE(n_iter=750, n_jobs=-1, random_state=0).fit(vectors)


def repeated(make: Callable, task: str, calls: int, options: dict) -> Work:
    """Some calls of what ``make`` gives."""
    call = make(task, **options)
    return lambda: (median_seconds(call, calls), None)


def differences() -> dict[str, float]:
    """The largest difference from Captum over its largest value, on the same photo in the same order in memory."""
    warnings.simplefilter("ignore")
    gaps = {}
    for task in ("occlusion", "saliency", "guided backpropagation", "Grad-CAM", "integrated gradients"):
        theirs = captums(task, channels_last=True)()
        theirs = theirs[:, :1] if task == "occlusion" else theirs
        gaps[task] = ((ours(task)() - theirs).abs().max() / theirs.abs().max()).item()
    return gaps


def main() -> None:
    """Measure, print the table, and keep the numbers in ``data/benchmark_looking.json``."""
    results = [alone("occlusion", COURSE, repeated, ours, "occlusion", 3, {})]
    for at_once in (1, 4, 8, 16, 32):
        options = (captums, "occlusion", 1, {"at_once": at_once})
        results.append(alone("occlusion", f"Captum, {at_once} at once", repeated, *options))
    for at_once in (8, 16):
        options = (captums, "occlusion", 1, {"at_once": at_once, "channels_last": True})
        results.append(alone("occlusion", f"Captum, {at_once} at once, channels last", repeated, *options))
    for task in ("saliency", "guided backpropagation", "Grad-CAM"):
        for way, make in ((COURSE, ours), ("Captum", captums)):
            results.append(alone(task, way, repeated, make, task, 30, {}))
    results.append(alone("integrated gradients", COURSE, repeated, ours, "integrated gradients", 5, {}))
    for at_once in (None, 1, 8):
        way = f"Captum, {at_once or 'all 50'} steps at once"
        options = {"at_once": at_once, "channels_last": True}
        results.append(alone("integrated gradients", way, repeated, captums, "integrated gradients", 5, options))
    for way, make in ((COURSE, ours), ("openTSNE", open_tsne)):
        results.append(alone("t-SNE", way, repeated, make, "t-SNE", 1, {}))
    gaps = differences()
    print(f"\n{machine()}\n\n{table(results)}\n")
    for task, gap in gaps.items():
        print(f"largest difference from Captum over its largest value, {task}: {gap:.1e}")
    keep(RECORD, results=[asdict(r) for r in results], gaps=gaps)


if __name__ == "__main__":
    main()
