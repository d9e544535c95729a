import io

import numpy as np
import pytest
import torch
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from PIL import Image

from helpers import plotting
from helpers.training import History


def drawn(figure, i=0):
    """The array behind the image on the i-th axes."""
    return np.asarray(figure.axes[i].images[0].get_array())


def test_show_displays_an_image_with_alt_text(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    plotting.show(plotting.image_grid([torch.rand(3, 4, 4)]), "four by four", format="jpeg")
    data, metadata = DisplayFormatter().format(*shown)
    assert "image/jpeg" in data
    assert metadata["image/jpeg"]["alt"] == "four by four"


@pytest.mark.parametrize("format", ["png", "jpeg"])
def test_render_gives_an_image_file(format):
    assert Image.open(io.BytesIO(plotting.render(Figure(figsize=(2, 1)), format))).format == format.upper()


def test_image_grid_draws_what_it_is_given():
    color, signed = torch.rand(3, 2, 4), torch.tensor([[-1.0, 2.0]])
    figure = plotting.image_grid([color, signed], ["a", "b"], vmin=-3, vmax=3)
    assert np.allclose(drawn(figure), color.permute(1, 2, 0))
    assert np.allclose(drawn(figure, 1), signed)
    assert figure.axes[1].images[0].get_clim() == (-3, 3)
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, None, 1), (5, 2, 3), (20, 10, 2), (3, 7, 1)])
def test_grid_fits_any_count(count, columns, rows):
    figure = plotting.image_grid([torch.zeros(2, 2)] * count, columns=columns)
    assert figure.axes[0].get_gridspec().nrows == rows
    assert sum(bool(ax.images) for ax in figure.axes) == count


def test_titles_must_pair_up():
    with pytest.raises(ValueError, match="2 and 1"):
        plotting.image_grid([torch.zeros(2, 2)], ["a", "b"])


def test_number_grid_writes_the_numbers_in_their_cells():
    figure = plotting.number_grid([torch.tensor([[1.0, 2.0], [3.0, 4.5]])], form=".1f", vmin=0, vmax=5)
    texts = {t.get_position(): (t.get_text(), t.get_color()) for t in figure.axes[0].texts}
    white, black = {(0, 0): "1.0", (1, 0): "2.0"}, {(0, 1): "3.0", (1, 1): "4.5"}
    assert texts == {k: (v, "white") for k, v in white.items()} | {k: (v, "black") for k, v in black.items()}


def test_outline_surrounds_whole_pixels():
    figure = plotting.image_grid([torch.zeros(9, 9)])
    plotting.outline(figure.axes[0], 2, 3, 4, 5)
    x, y = figure.axes[0].lines[0].get_data()
    assert (min(x), max(x), min(y), max(y)) == (2.5, 7.5, 1.5, 5.5)


def test_learning_curves():
    history = History(train_loss=[2.0, 1.0], train_accuracy=[0.5, 0.7], test_loss=[1.9, 1.2], test_accuracy=[0.4, 0.6])
    loss, accuracy = plotting.learning_curves({"run": history}).axes
    assert {line.get_label(): list(line.get_ydata()) for line in accuracy.lines} == {
        "run, train": [0.5, 0.7],
        "run, test": [0.4, 0.6],
    }
    assert list(loss.lines[0].get_xdata()) == [1, 2]
    assert {line.get_label(): line.get_linestyle() for line in loss.lines} == {"run, train": "--", "run, test": "-"}


def test_curves_have_a_line_for_each_name_and_readable_numbers_where_the_axis_is_logarithmic():
    ax = plotting.curves({"a": [1, 10], "b": [20, 3]}, "step", "loss", xs=[5, 6], log=True).axes[0]
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.lines}
    assert lines == {"a": [[5, 1], [6, 10]], "b": [[5, 20], [6, 3]]}
    ticks = {value: ax.yaxis.get_minor_formatter()(value, 0) for value in (0.02, 3, 5, 6, 90)}
    assert ticks == {0.02: "0.02", 3: "3", 5: "5", 6: "", 90: ""}
    assert ax.yaxis.get_major_formatter()(0.001, 0) == "0.001"
    assert list(plotting.curves({"a": [1, 10]}, "step", "loss").axes[0].lines[0].get_xdata()) == [1, 2]


def test_bars_first_on_top():
    ax = plotting.bars({"a": 1, "b": 3}, "count").axes[0]
    assert [bar.get_width() for bar in ax.patches] == [1, 3]
    assert ax.yaxis_inverted()
