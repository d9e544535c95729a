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
