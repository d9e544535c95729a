"""Fashion-MNIST: find it, fetch it, verify it, and serve it as tensors and in batches.

To fetch it from elsewhere, put a folder on the web into :data:`MIRRORS`, or a function of your own into
:data:`SOURCES`. The files lie in torchvision's layout, ``FashionMNIST/raw`` in the folder that :func:`find` gives, so
``torchvision.datasets.FashionMNIST`` reads them too. ``python -m helpers.data`` gets them ahead of time.
"""

import gzip
import hashlib
import io
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from helpers import files
from helpers.arguments import check_seed, check_whole
from helpers.bars import tqdm

CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

# sha256 of the unpacked files: the gzip files of the various sources differ, what they hold does not.
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
MIRRORS = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
DEBIAN_PACKAGE, DEBIAN_FOLDER = "dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"
FOLDER_VARIABLE = "FASHION_MNIST_ROOT"
RAW = Path("FashionMNIST", "raw")  # in the folder, as torchvision has it
MAX_BYTES = 60_000_000  # of one file, packed or not; the largest has 47 million
APT_SECONDS = 300


class DataUnavailable(RuntimeError):
    """Fashion-MNIST is not on this machine and no source gave it; the message says what was tried and what to do."""


# --- Sources: each yields the name of a file and its gzipped content, for all four ------------------------------------


def folder(path: str | Path) -> Iterator[tuple[str, bytes]]:
    """From a folder on this machine, such as the one of the installed Debian package."""
    for name in FILES:
        yield name, files.read(Path(path, f"{name}.gz"), MAX_BYTES)


def mirror(url: str) -> Iterator[tuple[str, bytes]]:
    """From a folder on the web; ``url`` ends in a slash."""
    for name in FILES:
        yield name, b"".join(files.chunks(f"{url}{name}.gz", MAX_BYTES))


def mirrors() -> Iterator[tuple[str, bytes]]:
    """From the first folder of :data:`MIRRORS` that has all."""
    failures = []
    for url in (MIRRORS,) if isinstance(MIRRORS, str) else MIRRORS:
        try:
            yield from mirror(url if url.endswith("/") else f"{url}/")
        except OSError as error:
            failures.append(str(error))
        else:
            return
    raise OSError("; ".join(failures) or "no mirror is named")


def debian_mirror() -> Iterator[tuple[str, bytes]]:
    """From the Debian package, with lists and cache of its own: it needs neither root nor an installation."""
    with tempfile.TemporaryDirectory() as temporary:
        for empty in ("lists/partial", "cache/archives/partial"):
            Path(temporary, empty).mkdir(parents=True)
        places = [f"-oDir::State::Lists={temporary}/lists", f"-oDir::Cache={temporary}/cache"]
        apt_get = ["apt-get", "-q", *places, f"-oAcquire::http::Timeout={files.SILENCE_SECONDS}"]
        _run([*apt_get, "update"], temporary)
        _run([*apt_get, "download", DEBIAN_PACKAGE], temporary)
        package = next(Path(temporary).glob("*.deb"), None)
        if package is None:
            raise OSError("apt-get ended well, and left no package")
        _run(["dpkg-deb", "-x", package.name, "unpacked"], temporary)
        yield from folder(f"{temporary}/unpacked{DEBIAN_FOLDER}")


def _run(command: list[str], directory: str) -> None:
    with tempfile.TemporaryFile() as said:  # no pipe: what the command has started might hold it open
        try:
            done = subprocess.run(
                command, cwd=directory, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=APT_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise OSError(f"{command[0]} was stopped after {APT_SECONDS} s") from None
        if done.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(lines) if line.strip()), f"exit status {done.returncode}")
            raise OSError(f"{command[0]}: {last.strip()}")


# Asked in turn.
SOURCES: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    f"the installed Debian package {DEBIAN_PACKAGE}": partial(folder, DEBIAN_FOLDER),
    "the web": mirrors,
    f"the package {DEBIAN_PACKAGE} of a Debian mirror": debian_mirror,
}


# --- Fetching --------------------------------------------------------------------------------------------------------


def find() -> Path:
    """The folder that holds a verified ``FashionMNIST/raw``, fetched first where it does not.

    It is the one that the environment variable FASHION_MNIST_ROOT names, else ``data``; a relative one begins at this
    checkout, whichever notebook asks.

    Raises:
        DataUnavailable: the folder cannot be read or written, or every source failed.
    """
    root = Path(os.environ.get(FOLDER_VARIABLE) or files.DATA)
    try:
        root = files.DATA.parent / root.expanduser()
        if root.parts[-2:] == RAW.parts:
            root = root.parents[1]
        raw = root / RAW
        if problems(raw):
            # Two notebooks may ask at once: the second waits here, and then finds the work done.
            with files.alone(raw, "it fetches Fashion-MNIST"):
                _fetch(raw)
    except DataUnavailable:
        raise
    except (OSError, RuntimeError) as error:  # a home that is not there is a RuntimeError
        raise DataUnavailable(
            f"Fashion-MNIST has to be read from or written to {root}, and that failed: {error}. "
            f"Make the folder writable, or set {FOLDER_VARIABLE} to one that is."
        ) from error
    return root


def problems(raw: Path) -> list[str]:
    """What is wrong with the files in ``raw``, a phrase each; empty where all four are there and as published."""
    return [fault for name in FILES if (fault := _fault_of_file(raw / name))]


def _fault_of_file(path: Path) -> str | None:
    if not path.is_file():
        return f"{path.name} is missing"
    size = path.stat().st_size
    if size > MAX_BYTES:
        return f"{path.name} is changed ({size:,} bytes)"
    with path.open("rb") as file:
        return _fault(path.name, size, hashlib.file_digest(file, "sha256").hexdigest())


def _fault(name: str, size: int, sha256: str) -> str | None:
    return None if sha256 == FILES[name] else f"{name} is truncated or changed ({size:,} bytes)"


def _fetch(raw: Path) -> None:
    failures = []
    for label, source in SOURCES.items():
        if not problems(raw):
            return
        try:
            for name, packed in tqdm(source(), f"Fashion-MNIST (30 MB) from {label}", len(FILES), leave=False):
                with gzip.open(io.BytesIO(packed)) as file:
                    content = file.read(MAX_BYTES)
                if fault := _fault(name, len(content), hashlib.sha256(content).hexdigest()):
                    raise OSError(fault)
                _keep(raw / name, content)
        except DataUnavailable:  # what cannot be written is no fault of the source
            raise
        except Exception as error:
            failures.append(f"{label}: {error or type(error).__name__}")
    if faults := problems(raw):
        raise DataUnavailable(
            f"Fashion-MNIST could not be had. In {raw}, {', '.join(faults)}. Tried in turn:\n- "
            + "\n- ".join(failures)
            + f"\nBy hand: copy the four files {', '.join(FILES)} (unpacked) to {raw}, "
            f"or set {FOLDER_VARIABLE} to a folder that has them in FashionMNIST/raw."
        )


def _keep(path: Path, content: bytes) -> None:
    try:
        files.write(path, content)
    except OSError as error:
        raise DataUnavailable(
            f"Fashion-MNIST has to be written to {path.parent}, and that failed: {error}. "
            f"Make room or the folder writable, or set {FOLDER_VARIABLE} to another one."
        ) from error


# --- Serving ---------------------------------------------------------------------------------------------------------


def fashion_mnist(train: bool) -> tuple[Tensor, Tensor]:
    """All images and labels of one split: float32 ``(N, 1, 28, 28)`` in [0, 1], and int64 ``(N,)`` in 0 … 9.

    N is 60,000 for training and 10,000 for testing. Source: Xiao, Rasul and Vollgraf 2017.
    """
    from torchvision.datasets import FashionMNIST  # a second to import

    if not isinstance(train, bool):
        raise ValueError(f"train must be True or False, not {train!r:.60}")
    dataset = FashionMNIST(find(), train=train)
    return dataset.data.unsqueeze(1).float().div_(255), dataset.targets  # in place: 188 MB less at the peak


class Batches:
    """A DataLoader for images that are in memory as one tensor: shuffle, slice, and nothing else.

    Args:
        images: ``(N, C, H, W)``.
        labels: ``(N,)``.
        batch_size: images in a batch; the last one may be shorter.
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
        augment: Callable[[Tensor, torch.Generator], Tensor] = lambda batch, _: batch,
    ) -> None:
        for name, given in (("images", images), ("labels", labels)):
            if not isinstance(given, Tensor) or given.ndim == 0:
                raise ValueError(f"{name} must be a tensor, one entry for each image, not {given!r:.60}")
        if len(images) != len(labels):
            raise ValueError(f"images and labels must pair up, but there are {len(images)} and {len(labels)}")
        check_whole(1, batch_size=batch_size)
        check_seed(seed)
        self.images, self.labels, self.batch_size = images, labels, batch_size
        self.shuffle, self.augment = shuffle, augment
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.images)
        order = torch.randperm(n, generator=self.generator) if self.shuffle else torch.arange(n)
        for index in order.split(self.batch_size) if n else ():  # which would give one, and empty
            yield self.augment(self.images[index], self.generator), self.labels[index]


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each image of ``(N, C, H, W)`` mirrored left to right with probability 1/2."""
    if images.ndim != 4 or not isinstance(generator, torch.Generator):
        raise ValueError(
            f"random_flip takes images (N, C, H, W) and a generator, not {tuple(images.shape)}, {generator}"
        )
    flip = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(flip, images.flip(-1), images)


if __name__ == "__main__":
    try:
        print(f"Fashion-MNIST is verified in {find()}")
    except DataUnavailable as error:
        raise SystemExit(str(error)) from None
