"""Fashion-MNIST: find it, fetch it, verify it, and serve it as tensors and in batches.

The files lie in torchvision's layout, ``<root>/FashionMNIST/raw``, so ``torchvision.datasets.FashionMNIST(root)``
reads them too. ``python -m helpers.data`` gets them ahead of time. Lesson 3 explains the data set.
"""

import contextlib
import gzip
import hashlib
import http.client
import os
import shutil
import subprocess
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import filelock
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from tqdm.auto import tqdm

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

# sha256 of the unpacked files: the gzip files of the various sources differ, what they hold does not.
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FOLDER_VARIABLE = "FASHION_MNIST_ROOT"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
TIMEOUT_SECONDS = 30


class DataUnavailable(RuntimeError):
    """Fashion-MNIST is not on this machine and no source gave it; the message says what was tried and what to do."""


def default_root() -> Path:
    """The folder named by the environment variable FASHION_MNIST_ROOT, else ``data/`` of this checkout."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[1] / "data"


def raw_folder(root: str | Path | None = None) -> Path:
    """Where the four files lie below ``root``."""
    return Path(root or default_root()) / "FashionMNIST" / "raw"


def problems(raw: Path) -> list[str]:
    """What is wrong with the files in ``raw``, a phrase each; empty where all four are there and as published."""
    return [f"{name} is {fault}" for name in FILES if (fault := _fault(raw / name, FILES[name]))]


def _fault(path: Path, sha256: str) -> str | None:
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return None if digest == sha256 else f"truncated or changed ({path.stat().st_size:,} bytes)"


# --- Sources: each yields a folder that holds the four files, gzipped -------------------------------------------------


@contextlib.contextmanager
def _installed_debian_package() -> Iterator[Path]:
    if not DEBIAN_FOLDER.is_dir():
        raise OSError("it is not installed")
    yield DEBIAN_FOLDER


@contextlib.contextmanager
def _mirror() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            url = f"{datasets.FashionMNIST.mirrors[0]}{name}.gz"
            _download(url, Path(folder) / f"{name}.gz")
        yield Path(folder)


@contextlib.contextmanager
def _debian_mirror() -> Iterator[Path]:
    """``apt-get download`` with lists and cache of its own: needs neither root nor an installed package."""
    if not shutil.which("apt-get"):
        raise OSError("this system has no apt-get")
    with tempfile.TemporaryDirectory() as folder:
        lists, cache = Path(folder, "lists"), Path(folder, "cache")
        (lists / "partial").mkdir(parents=True)
        (cache / "archives" / "partial").mkdir(parents=True)
        options = [
            f"-oDir::State::Lists={lists}",
            f"-oDir::Cache={cache}",
            f"-oAcquire::http::Timeout={TIMEOUT_SECONDS}",
        ]
        for words in (["update"], ["download", "dataset-fashion-mnist"]):
            _run(["apt-get", "-q", *options, *words], folder)
        (package,) = Path(folder).glob("dataset-fashion-mnist*.deb")
        _run(["dpkg-deb", "-x", str(package), "unpacked"], folder)
        yield Path(folder, "unpacked", *DEBIAN_FOLDER.parts[1:])


SOURCES: dict[str, Callable[[], contextlib.AbstractContextManager[Path]]] = {
    "the installed Debian package dataset-fashion-mnist": _installed_debian_package,
    "torchvision's mirror": _mirror,
    "the package dataset-fashion-mnist of a Debian mirror": _debian_mirror,
}


def _download(url: str, path: Path) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, path.open("wb") as file:
        total = int(response.headers.get("Content-Length", 0)) or None
        with tqdm.wrapattr(file, "write", total=total, desc=path.name) as out:
            shutil.copyfileobj(response, out)
    if total and path.stat().st_size != total:
        raise OSError(f"the connection broke off after {path.stat().st_size:,} of {total:,} bytes")


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{command[0]}: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")


# --- Fetching --------------------------------------------------------------------------------------------------------


def find(root: str | Path | None = None) -> Path:
    """The folder that holds a verified ``FashionMNIST/raw``, fetched first where it does not.

    Args:
        root: the folder to look in and to write to; by default :func:`default_root`.

    Raises:
        DataUnavailable: the folder cannot be written, or every source failed.
    """
    root = Path(root or default_root())
    raw = raw_folder(root)
    if not problems(raw):
        return root
    try:
        raw.mkdir(parents=True, exist_ok=True)
        # Two notebooks may ask at once: the second waits here, and then finds the work done.
        with filelock.FileLock(raw / ".lock"):
            if faults := problems(raw):
                _fetch(raw, faults)
    except OSError as error:
        raise DataUnavailable(
            f"Fashion-MNIST has to be written to {raw}, and that failed: {error}. "
            f"Make the folder writable, or set {FOLDER_VARIABLE} to one that is."
        ) from error
    return root


def _fetch(raw: Path, faults: list[str]) -> None:
    failures = [f"{raw}: {', '.join(faults)}"]
    for name, source in tqdm(SOURCES.items(), desc="Fashion-MNIST (30 MB), asking its sources", unit="source"):
        try:
            with source() as folder:
                failures += [f"{name}: {fault}" for fault in _unpack(folder, raw)]
        except (OSError, EOFError, zlib.error, http.client.HTTPException) as error:
            failures.append(f"{name}: {error}")
        if not problems(raw):
            return
    raise DataUnavailable(
        "Fashion-MNIST could not be had. Tried in turn:\n- "
        + "\n- ".join(failures)
        + f"\nBy hand: copy the four files {', '.join(FILES)} (unpacked) to {raw}, "
        f"or set {FOLDER_VARIABLE} to a folder that has them in FashionMNIST/raw."
    )


def _unpack(source: Path, raw: Path) -> list[str]:
    """Unpack the files from ``source``; each gets its name only when whole and verified. Returns what was not."""
    faults = []
    for name, sha256 in FILES.items():
        part = raw / f"{name}.part"
        try:
            with gzip.open(source / f"{name}.gz", "rb") as packed, part.open("wb") as out:
                shutil.copyfileobj(packed, out)
            if fault := _fault(part, sha256):
                faults.append(f"{name}.gz is {fault}")
            else:
                part.replace(raw / name)
        finally:
            part.unlink(missing_ok=True)
    return faults


# --- Serving ---------------------------------------------------------------------------------------------------------


def fashion_mnist(train: bool, root: str | Path | None = None) -> tuple[Tensor, Tensor]:
    """All pictures and labels of one split: float32 ``(N, 1, 28, 28)`` in [0, 1], and int64 ``(N,)`` in 0 … 9.

    N is 60,000 for training and 10,000 for testing. Source: Xiao, Rasul and Vollgraf 2017.
    """
    dataset = datasets.FashionMNIST(find(root), train=train)
    return dataset.data.unsqueeze(1).float() / 255, dataset.targets


def loader(train: bool, batch_size: int, root: str | Path | None = None, seed: int = 0) -> DataLoader:
    """The usual way: a DataLoader over torchvision's data set with ``ToTensor``, shuffled for training.

    It decodes each picture anew for each batch; lesson 3 measures what that costs next to :class:`Batches`.
    """
    dataset = datasets.FashionMNIST(find(root), train=train, transform=transforms.ToTensor())
    return DataLoader(dataset, batch_size, shuffle=train, generator=torch.Generator().manual_seed(seed))


class Batches:
    """A DataLoader for pictures that are in memory as one tensor: shuffle, slice, and nothing else.

    Args:
        images: ``(N, C, H, W)``.
        labels: ``(N,)``.
        batch_size: pictures in a batch; the last one may be shorter.
        shuffle: a new order for each pass over the data, drawn from a generator of its own.
        seed: of that generator.
        augment: called as ``augment(batch, generator)``, gives the batch that is served.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        batch_size: int = 128,
        *,
        shuffle: bool = False,
        seed: int = 0,
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ) -> None:
        if len(images) != len(labels):
            raise ValueError(f"images and labels must pair up, but there are {len(images)} and {len(labels)}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.shuffle, self.augment = shuffle, augment
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.images)
        order = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        for index in order.split(self.batch_size):
            images = self.images[index]
            yield self.augment(images, self.generator) if self.augment else images, self.labels[index]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each picture of ``(N, C, H, W)`` mirrored left to right with probability 1/2."""
    flip = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(flip, images.flip(-1), images)


def main() -> None:
    """Fetch and verify the data set, and say where it is."""
    try:
        print(f"Fashion-MNIST is verified in {raw_folder(find())}")
    except DataUnavailable as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
