import copy

import pytest
import torch
from torch import nn

from helpers import training
from helpers.data import Batches
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


def test_a_run_is_looked_at_where_it_is_best_and_at_its_end():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    images = torch.rand(60, 1, 4, 4, generator=generator)
    images[torch.arange(60), 0, 0, labels] += 2

    def once(epochs):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        batches = Batches(images[:30], labels[:30], 10)
        others = Batches(images[30:45], labels[30:45], 15), Batches(images[45:], labels[45:], 15)
        return lesson_04.run_to_the_end(model, batches, epochs, *others, seed=0), model, *others

    run, model, held_out, test_batches = once(25)
    result = training.evaluate(model, test_batches)
    assert run.last == 100 * result.accuracy
    assert run.loss == result.loss
    accuracies = [training.evaluate(once(n)[1], held_out).accuracy for n in range(1, 26)]
    best = 1 + accuracies.index(max(accuracies))
    assert run.stopped == once(best)[0].last


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (8, 8)])
def test_orthogonal_is_about_the_nearest_orthogonal_matrix(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    made = lesson_04.orthogonal(1000 * matrix)
    values = torch.linalg.svdvals(made)
    assert 0.6 < values.min() < values.max() < 1.25
    assert torch.cosine_similarity(made.flatten(), (u @ v).flatten(), dim=0) > 0.97


def test_muon_turns_filters_and_moves_all_else_like_sgd():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 2))
    twin = copy.deepcopy(model)
    others = [p for p in twin.parameters() if p is not twin[1].weight]
    optimizer = lesson_04.Muon(model)
    sgd = torch.optim.SGD(others, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    for step in range(3):
        x = torch.randn(5, 1, 5, 5, generator=torch.Generator().manual_seed(step))
        with torch.no_grad():
            twin[1].weight.copy_(model[1].weight)
        for each, mover in ((model, optimizer), (twin, sgd)):
            mover.zero_grad()
            each(x).square().sum().backward()
        before = model[1].weight.detach().clone()
        optimizer.step()
        sgd.step()
        change = model[1].weight - before * 8**0.5 / before.norm()
        values = torch.linalg.svdvals(change.detach().flatten(1)) / 0.05
        assert 0.3 < values.median() < values.max() < 1.3  # all directions about alike
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        if other is not twin[1].weight:
            torch.testing.assert_close(one, other)


def test_the_recipe_ends_at_a_rate_of_0():
    optimizer, scheduler = lesson_04.recipe(nn.Linear(3, 2), steps=4)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[1]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert optimizer.param_groups[1]["lr"] == 0


def test_mirrored_answers_the_same_for_an_image_and_its_mirror_image():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    x = torch.rand(4, 1, 3, 4)
    made = lesson_04.Mirrored(model)(x)
    torch.testing.assert_close(made, lesson_04.Mirrored(model)(x.flip(-1)))
    wanted = (model(x).softmax(1) * model(x.flip(-1)).softmax(1)).sqrt().log()
    torch.testing.assert_close(made, wanted)
