import pytest
import torch

from helpers.lessons import lesson_04


def test_descent_explorer_gives_the_start_back():
    explorer = lesson_04.descent_explorer("saddle")
    assert explorer.start.tolist() == pytest.approx([-3.2, 0.1])
    explorer.state = {"surface": "valley", "start": [0.4, -1.5]}
    assert torch.equal(explorer.start, torch.tensor([0.4, -1.5]))
    with pytest.raises(ValueError, match=r"surface must be one of parabola, .* not 'bowl'"):
        lesson_04.descent_explorer("bowl")


def test_descent_explorer_has_words_for_each_surface():
    assert list(lesson_04.descent_explorer().content["surfaces"]) == list(lesson_04.SURFACES)


@pytest.mark.parametrize(
    ("surface", "place", "wanted"),
    [
        ("parabola", (1.0, -1.0), [2, 2]),
        ("valley", (1.0, -1.0), [0.2, 10]),
        ("saddle", (0.0, 0.0), [-1, 0.5]),
        ("saddle", (0.0, 2**0.5), [0.5, 2]),
    ],
)
def test_the_surfaces_have_the_curvatures_that_the_explorer_states(surface, place, wanted):
    hessian = torch.autograd.functional.hessian(lesson_04.SURFACES[surface], torch.tensor(place))
    torch.testing.assert_close(torch.linalg.eigvalsh(hessian), torch.tensor(wanted, dtype=torch.float32))


def test_the_surface_has_the_hollows_it_is_named_for():
    for x, y in ((2.0, 0.3), (-0.73, -0.11)):
        place = torch.tensor([x, y])
        gradient = torch.autograd.functional.jacobian(lesson_04.two_minima_loss, place)
        curvatures = torch.linalg.eigvalsh(torch.autograd.functional.hessian(lesson_04.two_minima_loss, place))
        assert gradient.norm() < 0.02
        assert (curvatures > 0).all()
    assert abs(lesson_04.two_minima_loss(torch.tensor([2.0, 0.3]))) < 1e-4


def test_steps_until_near_counts_the_last_step_away():
    path = torch.tensor([[1.0, 0.0], [0.05, 0.0], [0.5, 0.0], [0.0, 0.05], [0.0, 0.0]])
    assert lesson_04.steps_until_near(path, (0.0, 0.0)) == 3
    assert lesson_04.steps_until_near(path[:3], (0.0, 0.0)) is None
    assert lesson_04.steps_until_near(torch.full((4, 2), torch.nan), (0.0, 0.0)) is None
    assert lesson_04.steps_until_near(path[3:], (0.0, 0.0)) == 0


def test_wrong_labels_are_another_class_in_the_share_asked_for():
    labels = torch.arange(10).repeat(2000)
    wrong = lesson_04.with_wrong_labels(labels, 0.3)
    assert (wrong != labels).float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert set(wrong.tolist()) == set(range(10))
    moved = (wrong - labels)[wrong != labels] % 10
    assert torch.bincount(moved, minlength=10)[1:].min() > 500  # each of the nine others, about equally often
    assert not torch.equal(wrong, lesson_04.with_wrong_labels(labels, 0.3, seed=1))
    assert torch.equal(lesson_04.with_wrong_labels(labels, 0.0), labels)


def test_descent_paths_draws_each_path_on_its_own_map():
    path = lesson_04.descend(lesson_04.two_minima_loss, (-3.2, 1.0), lambda w: torch.optim.SGD(w, 0.1), 5)
    figure = lesson_04.descent_paths(lesson_04.two_minima_loss, {"a": path, "b": path[:3]})
    assert [ax.get_title() for ax in figure.axes] == ["a", "b"]
    assert [len(ax.lines[0].get_xdata()) for ax in figure.axes] == [6, 3]


def test_rate_curves_has_a_line_for_each_optimiser_and_the_mark():
    ax = lesson_04.rate_curves({"a": {0.1: 0.5, 1: 0.1}, "b": {0.1: 0.7}}, 0.1).axes[0]
    assert [list(line.get_ydata()) for line in ax.lines[:2]] == [[0.5, 0.1], [0.7]]
    assert set(ax.lines[2].get_xdata()) == {0.1}
