import re
import time

import ipywidgets as ipw
import numpy as np
import torch
from widget_tools import decode, every, find, text

from helpers.data import CLASSES
from helpers.lessons import lesson_03
from helpers.models import FashionNet

LABELS = torch.arange(40) % 10
IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 0.2
IMAGES[torch.arange(40), 0, LABELS * 2] = 1  # a white row, at a height that tells the class


def explorer(rounds=3):
    return lesson_03.training_explorer((IMAGES, LABELS), (IMAGES, LABELS), seed=5, rounds=rounds)


def shown(widget):
    """The probabilities in the bars, in percent, and the image as it is drawn."""
    (image,) = every(widget, ipw.Image)
    return [float(n) for n in re.findall(r"([\d.]+)%</td>", text(widget))], decode(image)[4::8, 4::8, 0] / 255


def test_shows_the_item_chosen_and_what_the_network_says():
    widget = explorer()
    torch.manual_seed(5)
    model = FashionNet()
    for item, number, change in ((0, 0, "as it is"), (7, 2, "mirrored"), (3, 5, "upside down")):
        find(widget, "item").value = item
        find(widget, "number").value = number
        find(widget, "shown").value = change
        image = IMAGES[item + 10 * (number % 4)]
        image = {"as it is": image, "mirrored": image.flip(2), "upside down": image.flip(1)}[change]
        percent, drawn = shown(widget)
        np.testing.assert_allclose(drawn, image[0], atol=0.01)
        np.testing.assert_allclose(percent, 100 * model(image[None]).softmax(dim=1)[0].detach(), atol=0.06)
        assert f"font-weight:bold'>{CLASSES[item]}<" in text(widget)


def wait(live):
    live.thread.join(timeout=60)
    assert not live.thread.is_alive()


def test_trains_when_asked_goes_on_and_starts_again():
    live = lesson_03.LiveTraining((IMAGES, LABELS), (IMAGES, LABELS), seed=0)
    calls = []
    live.start(3, lambda: calls.append(len(live.losses)))
    wait(live)
    assert calls == [1, 2, 3, 3]
    assert live.losses[-1] < live.losses[0] < 3
    live.start(2, lambda: None)
    wait(live)
    assert len(live.accuracies) == 5
    assert live.accuracies[-1] > 0.9
    live.reset(1e-3)
    assert not live.losses


def test_stops_after_the_round_it_is_in():
    live = lesson_03.LiveTraining((IMAGES, LABELS), (IMAGES, LABELS), seed=0)
    live.start(1000, live.stopping.set)
    wait(live)
    assert len(live.losses) == 1


def test_buttons_and_curves():
    widget = explorer(rounds=2)
    button, fresh = find(widget, "Train"), find(widget, "New network")
    before, _ = shown(widget)
    button.click()
    deadline = time.monotonic() + 60
    while find(widget, "Train") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "6,400 images seen" in text(widget)
    points = re.findall(r"points='([^']+)'", text(widget))
    assert [len(p.split()) for p in points] == [2, 2]
    assert shown(widget)[0] != before
    fresh.click()
    assert shown(widget)[0] == before
    find(widget, "learning rate").value = 0.1
    assert "0 images seen" in text(widget)


def test_confusion_table_has_true_classes_in_rows():
    ax = lesson_03.confusion_table(torch.tensor([[5, 1], [0, 7]]), ["cat", "dog"]).axes[0]
    texts = {t.get_position(): t.get_text() for t in ax.texts}
    assert texts == {(0, 0): "5", (1, 0): "1", (0, 1): "0", (1, 1): "7"}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat", "dog"]
    assert ax.get_ylabel() == "true class"
    assert np.asarray(ax.images[0].get_array()).tolist() == [[0, 1], [0, 0]]
