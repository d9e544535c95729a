import re
import time

import numpy as np
import torch
from widget_tools import decode, find

from helpers.data import CLASSES
from helpers.lessons import lesson_03
from helpers.models import FashionNet

LABELS = torch.arange(40) % 10
IMAGES = torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(1)) * 0.2
IMAGES[torch.arange(40), 0, LABELS * 2] = 1  # a white row, at a height that tells the class


def explorer(rounds=3):
    return lesson_03.training_explorer((IMAGES, LABELS), (IMAGES, LABELS), seed=5, rounds=rounds)


def shown(widget):
    """The probabilities in the bars, in percent, and the picture as it is drawn."""
    picture, bars = widget.children[3].children
    return [float(n) for n in re.findall(r"([\d.]+)%</td>", bars.value)], decode(picture)[4::8, 4::8, 0] / 255


def test_shows_the_garment_chosen_and_what_the_network_says():
    widget = explorer()
    torch.manual_seed(5)
    model = FashionNet()
    for garment, number, change in ((0, 0, "as it is"), (7, 2, "mirrored"), (3, 5, "upside down")):
        find(widget, "garment").value = garment
        find(widget, "number").value = number
        find(widget, "shown").value = change
        picture = IMAGES[garment + 10 * (number % 4)]
        picture = {"as it is": picture, "mirrored": picture.flip(2), "upside down": picture.flip(1)}[change]
        percent, drawn = shown(widget)
        np.testing.assert_allclose(drawn, picture[0], atol=0.01)
        np.testing.assert_allclose(percent, 100 * model(picture[None]).softmax(dim=1)[0].detach(), atol=0.06)
        assert f"font-weight:bold'>{CLASSES[garment]}<" in widget.children[3].children[1].value


def wait(live):
    live.thread.join(timeout=60)
    assert not live.thread.is_alive()


def test_trains_when_asked_goes_on_and_starts_again():
    live = lesson_03._LiveTraining((IMAGES, LABELS), (IMAGES, LABELS), seed=0)
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
    live = lesson_03._LiveTraining((IMAGES, LABELS), (IMAGES, LABELS), seed=0)
    live.start(1000, live.stopping.set)
    wait(live)
    assert len(live.losses) == 1


def test_buttons_and_curves():
    widget = explorer(rounds=2)
    button, fresh, rate = widget.children[0].children
    before, _ = shown(widget)
    button.click()
    deadline = time.monotonic() + 60
    while find(widget, "Train") is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "6,400 pictures seen" in widget.children[1].value
    points = re.findall(r"points='([^']+)'", widget.children[1].value)
    assert [len(p.split()) for p in points] == [2, 2]
    assert shown(widget)[0] != before
    fresh.click()
    assert shown(widget)[0] == before
    rate.value = 0.1
    assert "0 pictures seen" in widget.children[1].value


def test_confusion_table_has_true_classes_in_rows():
    ax = lesson_03.confusion_table(torch.tensor([[5, 1], [0, 7]]), ["cat", "dog"]).axes[0]
    texts = {t.get_position(): t.get_text() for t in ax.texts}
    assert texts[(1, 0)] == "1"
    assert ax.get_ylabel() == "true class"
    assert np.asarray(ax.images[0].get_array()).tolist() == [[0, 1], [0, 0]]
