"""The Python side of the explorers that live in the page: what they are made of, and what they tell.

An explorer is an ES module (``SHARED`` parts and a lesson's own, joined) with data. In JupyterLab
anywidget shows it; in the book and anywhere else a few lines of JavaScript mount the same module on the same data,
which stands in the notebook's output. Either way it answers in the page, with or without a kernel.
"""

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import torch
import traitlets
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from helpers import files, images

FOLDER = Path(__file__).parent
STILLS = files.DATA / "stills"  # images of the explorers as they open, by their kind: `make stills`

SHARED = ["layers", "colors", "explore", "pointing"]
PARTS = {
    "lesson_03": [*SHARED, "pad", "network"],
    "lesson_05": [*SHARED, "photos", "channels"],
    **{f"lesson_0{number}": [*SHARED, "photos"] for number in range(6, 10)},
    "lesson_06": [*SHARED, "photos", "plane"],
}

# In place of anywidget: mounts each explorer of a page on the data that stands beside it.
MOUNT = """
const decode = (value) => {
  if (value && value.base64 !== undefined) {
    return new DataView(Uint8Array.from(atob(value.base64), (c) => c.charCodeAt(0)).buffer);
  }
  if (Array.isArray(value)) return value.map(decode);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, decode(part)]));
  }
  return value;
};
for (const place of document.querySelectorAll("div[data-explorer]")) {
  const values = { content: decode(JSON.parse(place.querySelector("script").textContent)), state: {} };
  const model = { get: (name) => values[name], set: (name, value) => { values[name] = value; }, on() {}, off() {},
    save_changes() {}, send() {}, isStatic: true };
  const el = document.createElement("div");
  place.replaceChildren(el);
  place.model = model;
  modules[place.dataset.explorer].render({ model, el });
}
"""


def module(lesson: str) -> str:
    """The source of a lesson's ES module, such as ``"lesson_01"``."""
    parts = [*PARTS.get(lesson, SHARED), lesson]
    return "\n".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in parts)


def script() -> str:
    """A plain script that holds all modules, and mounts the explorers and quizzes of the page that it stands in."""
    names = [*sorted(path.stem for path in FOLDER.glob("lesson_*.js")), "quiz"]
    parts = [f"modules.{n} = (() => {{\n{module(n).replace('export default', 'return')}\n}})();" for n in names]
    return "\n".join(["(() => {", "const modules = {};", *parts, MOUNT, "})();"])


class Explorer(anywidget.AnyWidget):
    """An explorer in a notebook.

    Attributes:
        lesson: whose module it is, such as ``"lesson_01"``; given by each subclass.
        still: what is to be seen as it opens, for those who hear it read; given by those that are drawn.
        content: what it shows: ``kind``, by which the module finds it, numbers, texts, and arrays as bytes.
        state: what the reader has made of it.
    """

    lesson = ""
    still = ""
    content = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        if "lesson" in cls.__dict__:  # not in the classes that traitlets makes of it
            cls._esm = module(cls.lesson)
        super().__init_subclass__(**options)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        if type(self).answer is not Explorer.answer:
            self.on_msg(lambda _widget, message, _buffers: self._reply(message))

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a subclass replies when the page asks (``kernelOf`` in photos.js): numbers, texts, files as bytes."""
        raise NotImplementedError

    def _reply(self, message: dict[str, Any]) -> None:
        files: list[bytes] = []
        try:
            reply = {"reply": _parted(self.answer(message["request"]), files)}
        except Exception as error:  # the page says what it was; there is nobody else to catch it
            files, reply = [], {"error": str(error) or type(error).__name__}
        self.send({"to": message["to"], **reply}, files)

    def fragment(self) -> str:
        """The explorer for a page without a kernel: HTML that :func:`script` brings to life."""
        data = json.dumps(self.content, default=_base64).replace("</", "<\\/")
        return (
            f'<div data-explorer="{html.escape(self.lesson)}">{self.at_rest()}'
            f'<script type="application/json">{data}</script></div>'
        )

    def at_rest(self) -> str:
        """HTML of what is there where nothing runs: in a lesson that was only opened, or on a page without scripts."""
        file = STILLS / f"{self.content.get('kind')}.webp"
        says = "<p><em>An image of the explorer: run the cell, and it answers.</em></p>"
        if not file.exists():
            return says
        source = f"data:image/webp;base64,{base64.b64encode(files.read(file, 1_000_000)).decode()}"
        return f'{says}<img alt="{html.escape(self.still)}" src="{source}">'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), "text/html": self.fragment(), "text/plain": repr(self)}, metadata

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _base64(value: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}


def _parted(value: Any, files: list[bytes]) -> Any:
    """The value with each of its bytes replaced by their place in ``files``."""
    if isinstance(value, bytes):
        files.append(value)
        return {"file": len(files) - 1}
    if isinstance(value, dict):
        return {name: _parted(part, files) for name, part in value.items()}
    return [_parted(part, files) for part in value] if isinstance(value, list | tuple) else value


def float_bytes(values: Tensor) -> bytes:
    """Numbers as float32 bytes, for ``floats`` in the module."""
    return values.detach().cpu().contiguous().numpy().astype("<f4").tobytes()


def image_bytes(image: Tensor) -> bytes:
    """Values in [0, 1] as 8-bit numbers, for ``bytes`` in the module."""
    return (image.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().contiguous().numpy().tobytes()


def image_file(image: Tensor, quality: int = 80, lossless: bool = False) -> bytes:
    """An image ``(3, H, W)`` or ``(1, H, W)`` as a WebP file, for ``decoded`` in the module.

    ``lossless`` keeps all values to 1/255.
    """
    file = io.BytesIO()
    pixels = (images.to_array(image) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(file, "webp", quality=quality, method=4, lossless=lossless)
    return file.getvalue()


def side_by_side(tiles: Tensor, across: int) -> Tensor:
    """Images ``(N, C, h, w)`` in rows of ``across``, ``(C, H, W)``, black where the last row is not full."""
    full = pad(tiles, (0, 0, 0, 0, 0, 0, 0, -len(tiles) % across))
    return full.unflatten(0, (-1, across)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def gray_photo(name: str, image: Tensor, rows: int = 200) -> dict[str, Any]:
    """An image in grey and so many rows high, as the modules take photos."""
    small = images.to_gray(images.resized(image, (rows, round(rows * image.shape[2] / image.shape[1]))))
    return {"name": name, "rows": rows, "columns": small.shape[2], "pixels": image_bytes(small)}


def grid(rows: int, columns: int, numbers: Any) -> Tensor:
    """A reader's numbers, row by row, as a tensor ``(rows, columns)``."""
    return torch.from_numpy(np.asarray(numbers, dtype=np.float32).reshape(rows, columns).copy())
