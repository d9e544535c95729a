"""What the page computes, beside PyTorch."""

import json
import re

import pytest
import torch
from playwright.sync_api import expect
from torch.nn.functional import avg_pool2d, conv2d, linear, max_pool2d, relu
from waiting import drawn

from benchmarks.latency import make
from helpers import data
from helpers.filters import KERNELS
from helpers.lessons.explore import FOLDER
from helpers.lessons.lesson_02 import POOL_NUMBERS
from helpers.lessons.lesson_04 import SURFACES
from helpers.models import trained_fashion_net

GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape):
    return torch.randn(shape, generator=GENERATOR)


def state(page):
    return page.evaluate("document.querySelector('div[data-explorer]').model.get('state')")


# --- Layers -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def layers(browser):
    """Calls one of the functions of layers.js, with tensors for maps and arrays; gives a tensor."""
    page = browser.new_page()
    page.set_content("<p></p>")
    page.add_script_tag(path=FOLDER / "layers.js")

    def call(expression, **tensors):
        given = {name: {"shape": list(t.shape), "values": t.flatten().tolist()} for name, t in tensors.items()}
        shape, values = page.evaluate(
            """([expression, given]) => {
                const made = Object.values(given).map(({ shape, values }) =>
                    shape.length === 3 ? maps(...shape, Float32Array.from(values)) : Float32Array.from(values));
                const result = new Function(...Object.keys(given), `return ${expression}`)(...made);
                const { channels, rows, columns, values } = result;
                return channels ? [[channels, rows, columns], [...values]] : [[result.length], [...result]];
            }""",
            [expression, given],
        )
        return torch.tensor(values, dtype=torch.float32).reshape(shape)

    yield call
    page.close()


@pytest.mark.parametrize("window", [1, 3, 4])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 2}, {"padding": 2}, {"dilation": 2}, {"stride": 3, "padding": 1, "dilation": 3}],
    ids=json.dumps,
)
def test_conv2d(layers, window, options):
    image, weight, bias = noise(3, 14, 17), noise(5, 3, window, window), noise(5)
    call = f"conv2d(image, weight, bias, {window}, {json.dumps(options)})"
    got = layers(call, image=image, weight=weight.flatten(), bias=bias)
    torch.testing.assert_close(got, conv2d(image[None], weight, bias, **options)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("window", [2, 3])
def test_pool(layers, window):
    image = noise(2, 11, 8) - 2
    torch.testing.assert_close(layers(f"pool(image, {window})", image=image), max_pool2d(image, window))


def test_what_a_window_does_not_fit_into_leaves_nothing(layers):
    assert layers("conv2d(image, weight, bias, 5)", image=noise(1, 4, 9), weight=noise(25), bias=noise(1)).numel() == 0
    assert layers("pool(image, 5)", image=noise(1, 4, 9)).numel() == 0


def test_linear_relu_and_softmax(layers):
    vector, weight, bias = noise(30), noise(7, 30), noise(7)
    scores = layers("linear(vector, weight, bias)", vector=vector, weight=weight.flatten(), bias=bias)
    torch.testing.assert_close(scores, linear(vector, weight, bias), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        layers("softmax(scores)", scores=40 * scores), (40 * scores).softmax(0), atol=1e-6, rtol=0
    )
    image = noise(2, 3, 4)
    assert torch.equal(layers("relu(image)", image=image), relu(image))


# --- Lesson 1 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "settings"),
    [("3", {}), ("3", {"stride": 2, "padding": 1}), ("5", {"dilation": 3, "padding": 3}), ("7", {"stride": 3})],
    ids=str,
)
def test_the_sum_that_is_shown_is_the_value_of_the_response(page_of, size, settings):
    page = page_of("kernel")
    page.get_by_role("combobox", name="photo").select_option("coins")
    page.get_by_role("combobox", name="size").select_option(size)
    for name, value in settings.items():
        page.get_by_role("slider", name=name).fill(str(value))
    page.get_by_label("row 0, column 2").fill("0.7")
    page.get_by_label("row 2, column 0").fill("-1.3")
    kernel = torch.tensor(state(page)["kernel"]).view(int(size), -1)
    assert (kernel == torch.tensor(-1.3)).any()
    photo = next(p for p in make("kernel").content["photos"] if p["name"] == "coins")
    pixels = torch.tensor(list(photo["pixels"])).view(photo["rows"], photo["columns"]) / 255
    response = conv2d(pixels[None, None], kernel[None, None], **settings)[0, 0]
    sheet, note = page.get_by_label("response, "), page.locator(".xp-note")
    expect(sheet).to_have_attribute("aria-label", re.compile("response, {} × {};".format(*response.shape)))
    box = sheet.bounding_box()
    drawn(page)
    said = note.text_content()
    for across, down in [(0.04, 0.04), (0.3, 0.6), (0.96, 0.96)]:
        page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        expect(note).not_to_have_text(said)
        drawn(page)
        said = note.text_content()
        row, column, shown = map(float, re.match(r"row (\d+), column (\d+): .* is (-?[\d.]+)$", said).groups())
        row, column = int(row), int(column)
        assert row == pytest.approx(down * response.shape[0], abs=2)  # cells are about as small as pixels
        assert column == pytest.approx(across * response.shape[1], abs=2)
        assert shown == pytest.approx(response[row, column].item(), abs=6e-4)
        parts = page.get_by_role("table", name="= products").locator("td").all_text_contents()
        assert sum(map(float, parts)) == pytest.approx(response[row, column].item(), abs=0.005 * len(parts))


def test_relu_and_a_second_kernel_are_computed_as_in_pytorch(page_of):
    page = page_of("kernel")
    page.get_by_role("combobox", name="second kernel on top").select_option("Sobel y")
    page.get_by_role("button", name="ReLU").click()
    photo = make("kernel").content["photos"][0]
    pixels = torch.tensor(list(photo["pixels"])).view(1, 1, photo["rows"], photo["columns"]) / 255
    first, second = (torch.as_tensor(KERNELS[name]).float()[None, None] for name in ("Sobel x", "Sobel y"))
    expected = relu(conv2d(relu(conv2d(pixels, first)), second))[0, 0]
    sheet = page.get_by_label("second response, ")
    box = sheet.bounding_box()
    page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.6 * box["height"])
    value = expected[int(0.6 * expected.shape[0]), int(0.4 * expected.shape[1])].item()
    expect(page.locator(".xp-note")).to_contain_text(f"pixels of the photo: {value:.3f}")


# --- Lesson 2 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "function"), [("maximum", max_pool2d), ("average", avg_pool2d)])
@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 1), (4, 3), (1, 4), (6, 6)])
def test_pooled_numbers_and_their_gradients_are_pytorchs(page_of, kind, function, window, stride):
    page = page_of("pooling")
    page.get_by_role("combobox", name="kind").select_option(kind)
    page.get_by_role("slider", name="window").fill(str(window))
    page.get_by_role("slider", name="stride").fill(str(stride))
    page.get_by_role("button", name="gradient back").click()
    numbers = POOL_NUMBERS.clone()
    for row, column in [(0, 0), (1, 1)]:  # a tie: PyTorch's gradient goes to the first
        page.get_by_label(f"row {row}, column {column}").fill("11")
        numbers[row, column] = 11
    numbers.requires_grad_()
    pooled = function(numbers[None, None], window, stride)[0, 0]
    pooled.sum().backward()
    board = page.get_by_label(f"{kind}, {len(pooled)} × {len(pooled)}").locator("xpath=..")
    drawn(page)
    assert_written(board.locator("span"), pooled)
    assert_written(page.get_by_label("numbers to type over").locator("xpath=..").locator("small"), numbers.grad)


def assert_written(elements, expected):
    written = [float(text.replace("−", "-") or 0) for text in elements.all_text_contents()]
    torch.testing.assert_close(torch.tensor(written), expected.detach().flatten(), atol=6e-4, rtol=0)


# --- Lesson 3 ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def net():
    return trained_fashion_net().eval()


@torch.no_grad()
def test_probabilities_of_thirty_items_are_pytorchs(page_of, net):
    page = page_of("network")
    item, another = (
        page.get_by_role("combobox", name="item of the test set"),
        page.get_by_role("button", name="another"),
    )
    test_images, labels = data.fashion_mnist(train=False)
    for c, name in enumerate(data.CLASSES):
        for k in range(3):
            item.select_option(name) if k == 0 else another.click()
            shown = state(page)
            if name != data.CLASSES[-1]:  # its first item was shown at the beginning
                expected_image = test_images[(labels == c).nonzero()[k, 0]]
                torch.testing.assert_close(torch.tensor(shown["drawing"]).view(1, 28, 28), expected_image)
            probabilities = net(torch.tensor(shown["drawing"]).view(1, 1, 28, 28))[0].softmax(0)
            torch.testing.assert_close(torch.tensor(shown["probabilities"]), probabilities, atol=1e-4, rtol=0)


# Each sheet: its label and which of those with it, rows of a map, maps across, pixels of a cell, the layer it shows.
SHEETS = [
    ("16 maps of the first", 0, 26, 4, 2, "features.1"),
    ("pooled; ", 0, 13, 4, 3, "features.3"),
    ("32 maps of the second", 0, 11, 8, 4, "features.5"),
    ("pooled; ", 1, 5, 8, 6, "features.7"),
]


def test_numbers_that_are_explained_are_pytorchs(page_of, net):
    page = page_of("network")
    page.get_by_role("combobox", name="item of the test set").select_option("Bag")
    note, inside = page.locator(".xp-note").first, {}
    for name, layer in net.named_modules():
        layer.register_forward_hook(lambda _layer, _input, output, name=name: inside.update({name: output[0]}))
    net(torch.tensor(state(page)["drawing"]).view(1, 1, 28, 28))
    for label, which, rows, across, cell, layer in SHEETS:
        sheet, (count, *_) = page.get_by_label(label).nth(which), inside[layer].shape
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        for map_, row, column in [(0, 0, 0), (count // 2, 2, 3), (count - 1, rows - 1, rows - 1)]:
            left, top = (map_ % across) * (rows * cell + 4), (map_ // across) * (rows * cell + 4)
            page.mouse.move(box["x"] + 1 + left + (column + 0.5) * cell, box["y"] + 1 + top + (row + 0.5) * cell)
            expect(note).to_contain_text(f"Channel {map_}: ")
            expect_number(note, inside[layer][map_, row, column])
    page.get_by_label("64 hidden nodes").focus()
    for unit in (35, 36):  # the pad's keys begin in the middle: row 4, column 4
        page.keyboard.press("ArrowLeft" if unit == 35 else "ArrowRight")
        expect(note).to_contain_text(f"Hidden node {unit}: ")
        expect_number(note, inside["classifier.1"][unit])
    for c, name in enumerate(data.CLASSES):
        page.get_by_role("button", name=name, exact=True).hover()
        expect(note).to_contain_text(f"{name}: the score is ")
        expect_number(note, inside["classifier.4"][c])


def expect_number(note, value):
    """The number that a note comes to, before ReLU."""
    shown = re.search(r" (?:is|are) (-?\d+\.\d{3})[,;.]", note.text_content())
    assert float(shown[1]) == pytest.approx(value.item(), abs=6e-4)


@torch.no_grad()
def test_accuracies_without_a_channel_are_pytorchs(page_of, net):
    page = page_of("network")
    page.get_by_label("16 maps of the first").click(position={"x": 56 + 20, "y": 20})
    page.get_by_label("32 maps of the second").click(position={"x": 2 * 48 + 20, "y": 20})
    summary = page.locator(".xp-note", has_text="Off: first layer, channel 1; second layer, channel 2.")
    expect(summary).to_contain_text("test items.")

    def silence(channel):
        def hook(_layer, _input, output):
            output[:, channel] = 0

        return hook

    content = make("network").content
    items = torch.tensor(list(content["items"])).view(-1, 1, 28, 28) / 255
    labels = torch.tensor(content["labels"])
    before = net(items).argmax(1) == labels
    handles = [net.features[2].register_forward_hook(silence(1)), net.features[6].register_forward_hook(silence(2))]
    after = net(items).argmax(1) == labels
    shown = torch.tensor(state(page)["drawing"]).view(1, 1, 28, 28)
    torch.testing.assert_close(torch.tensor(state(page)["probabilities"]), net(shown)[0].softmax(0), atol=1e-4, rtol=0)
    for handle in handles:
        handle.remove()
    shares = [[100 * right[labels == c].float().mean().item() for right in (after, before)] for c in range(10)]
    rows = page.locator(".xp-bars").last.locator("span", has_text=" %, was ").all_text_contents()
    assert rows == ["{:.0f} %, was {:.0f} %".format(*pair) for pair in shares]
    lost = [was - now for now, was in shares]
    expect(summary).to_contain_text(f"{data.CLASSES[lost.index(max(lost))]} loses most")


# --- Lesson 4 ---------------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "plain": lambda points, rate, momentum: torch.optim.SGD(points, rate),
    "momentum": lambda points, rate, momentum: torch.optim.SGD(points, rate, momentum),
    "Nesterov": lambda points, rate, momentum: torch.optim.SGD(points, rate, momentum, nesterov=momentum > 0),
    "Adam": lambda points, rate, momentum: torch.optim.Adam(points, rate, betas=(momentum, 0.999)),
}


@pytest.mark.parametrize("surface", SURFACES)
def test_balls_take_the_steps_of_torch_optim(page_of, surface):
    page = page_of("descent")
    page.get_by_role("combobox", name="surface").select_option(surface)
    for power, momentum in [("-0.82", "0.9"), ("-1.5", "0.5"), ("-2", "0")]:
        page.get_by_role("slider", name="rate").fill(power)
        page.get_by_role("slider", name="momentum").fill(momentum)
        shown = state(page)
        assert shown["rate"] == pytest.approx(10 ** float(power), rel=0.05)
        for name, path in shown["paths"].items():
            expected = torch_path(surface, name, shown)
            torch.testing.assert_close(torch.tensor(path).double(), expected[: len(path)], atol=1e-5, rtol=1e-5)
            assert len(path) == len(expected) or SURFACES[surface](expected[len(path) - 1]) > 1e6  # it flew off


def torch_path(surface, name, shown):
    point = torch.tensor(shown["start"], dtype=torch.float64, requires_grad=True)
    optimizer = OPTIMIZERS[name]([point], shown["rate"], float(shown["momentum"]))
    path = [point.detach().clone()]
    for _ in range(shown["steps"]):
        optimizer.zero_grad()
        SURFACES[surface](point).backward()
        optimizer.step()
        path.append(point.detach().clone())
    return torch.stack(path)


def test_the_loss_that_is_said_is_that_of_the_place(page_of):
    page = page_of("descent")
    place = state(page)["paths"]["momentum"][-1]
    loss = SURFACES["two minima"](torch.tensor(place)).item()
    expect(page.get_by_text("momentum: loss ")).to_contain_text(f"loss {loss:.2g} after 100 steps")
