import pytest
import torch
from sklearn import metrics
from torch import nn
from torch.nn.functional import cross_entropy

from helpers import devices, training
from helpers.data import Batches


def blobs(count=203, classes=3, seed=0):
    """Images of 1 × 4 × 4 that a linear layer can tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    images = torch.randn(count, 1, 4, 4, generator=generator)
    images[torch.arange(count), 0, 0, labels] += 4
    return images, labels


def linear(classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))


def fit(model, epochs=3, **options):
    batches = Batches(*blobs(), batch_size=20, shuffle=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return training.train(model, batches, optimizer, epochs, progress=False, **options)


@pytest.mark.parametrize("batch_size", [1, 2, 50, 202, 203, 1000])
def test_evaluate_is_right_for_every_batch_size(batch_size):
    images, labels = blobs()
    model = linear()
    result = training.evaluate(model, Batches(images, labels, batch_size))
    with torch.no_grad():
        logits = model(images)
    assert torch.allclose(result.logits, logits, atol=0.05)  # bf16 where the processor has it
    assert result.loss == pytest.approx(cross_entropy(result.logits, labels).item())
    predictions = result.logits.argmax(1)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert result.confusion.tolist() == metrics.confusion_matrix(labels, predictions).tolist()
    recall = metrics.recall_score(labels, predictions, average=None)
    assert result.class_accuracy.tolist() == pytest.approx(recall.tolist())


def test_confusion_has_true_classes_in_rows():
    logits = torch.eye(3)[[0, 2, 2, 2]]
    result = training.Evaluation(logits, torch.tensor([0, 1, 1, 2]))
    assert result.confusion.tolist() == [[1, 0, 0], [0, 0, 2], [0, 0, 1]]
    assert result.class_accuracy.tolist() == [1, 0, 1]
    assert result.accuracy == 0.5


def test_a_class_without_images_is_nan():
    result = training.Evaluation(torch.eye(3)[:2], torch.tensor([0, 1]))
    assert result.class_accuracy[2].isnan()


def test_evaluate_without_images():
    with pytest.raises(ValueError, match="no batches"):
        training.evaluate(linear(), [])


def test_evaluate_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1), *linear())
    before = {k: v.clone() for k, v in model.state_dict().items()}
    training.evaluate(model, Batches(*blobs()))
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_training_learns_and_tells():
    model = linear()
    calls = []
    history = fit(model, test_batches=Batches(*blobs(seed=1)), callback=lambda epoch, h: calls.append(epoch))
    assert calls == [1, 2, 3]
    assert {len(v) for v in vars(history).values() if isinstance(v, list)} == {3}
    assert history.train_loss[-1] < 0.5 * history.train_loss[0]
    assert history.test_accuracy[-1] > 0.9
    assert history.seconds == sorted(history.seconds)
    assert not history.interrupted


def test_one_epoch_is_the_loop_written_by_hand():
    model, twin = linear(), linear()
    images, labels = blobs(50)
    batches = Batches(images, labels, 20)  # the last batch is short
    history = training.train(model, batches, torch.optim.SGD(model.parameters(), lr=0.1), 1, progress=False)
    optimizer, total = torch.optim.SGD(twin.parameters(), lr=0.1), 0.0
    for x, y in batches:
        with devices.mixed_precision(torch.device("cpu")):
            logits = twin(x)
        loss = cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.allclose(p, q)
    assert history.train_loss == [pytest.approx(total / 50)]


def test_interrupt_keeps_history_and_model():
    model = linear()

    def stop(epoch, history):
        if epoch == 2:
            raise KeyboardInterrupt

    history = fit(model, epochs=10, callback=stop)
    assert history.interrupted
    assert len(history.train_loss) == 2
    assert training.evaluate(model, Batches(*blobs())).accuracy > 0.8


def test_same_seed_same_run_and_no_trace_in_global_state():
    def run(seed):
        model = nn.Sequential(nn.Dropout(0.5), *linear())
        torch.manual_seed(99)
        before = torch.get_rng_state()
        loss = fit(model, epochs=1, seed=seed).train_loss
        assert torch.equal(before, torch.get_rng_state())
        return loss

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_trains_in_training_mode():
    model = nn.Sequential(nn.BatchNorm2d(1), *linear()).eval()
    fit(model, epochs=1, test_batches=Batches(*blobs(seed=1)))
    assert model[0].num_batches_tracked == 11


def test_one_cycle_rises_falls_and_ends_with_the_run():
    optimizer, scheduler = training.one_cycle(linear(), steps=100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert max(rates) == pytest.approx(0.1)
    assert 20 < rates.index(max(rates)) < 40
    assert rates[-1] < 1e-4


def test_scheduler_steps_once_a_batch():
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    batches = Batches(*blobs(60), batch_size=20)
    training.train(model, batches, optimizer, 2, scheduler=scheduler, progress=False)
    assert optimizer.param_groups[0]["lr"] == 0.5**6


def test_both_precisions_give_the_same_within_noise(monkeypatch):
    accuracies = []
    for fast in (False, True):
        monkeypatch.setattr(devices, "has_fast_bf16", lambda device, fast=fast: fast)
        model = linear()
        fit(model)
        accuracies.append(training.evaluate(model, Batches(*blobs(seed=1))).accuracy)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu():
    model = linear().cuda()
    fit(model)
    assert training.evaluate(model, Batches(*blobs(seed=1))).accuracy > 0.9


def test_label_smoothing_is_pytorchs():
    images, labels = blobs()
    loss = cross_entropy(linear()(images), labels, label_smoothing=0.3).item()
    model = linear()
    history = training.train(
        model,
        Batches(images, labels, 203),
        torch.optim.SGD(model.parameters(), lr=0.1),
        1,
        label_smoothing=0.3,
        progress=False,
    )
    assert history.train_loss[0] == pytest.approx(loss, rel=0.02)  # which may be computed in bfloat16
    with pytest.raises(ValueError, match="label_smoothing must be a number of at least 0, at most 1, not 2"):
        fit(model, label_smoothing=2)
