"""What is noted of the reader's progress, when, and what happens to a file that cannot be used."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.lessons import progress

ANSWER = "from helpers.lessons import lesson_01\ndef my(size, kernel_size, stride, padding):\n    return {}"
RIGHT = ANSWER.format("(size - kernel_size + 2 * padding) // stride + 1")
CHECK = "lesson_01.check_output_size(my)"


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    """Where progress is kept for the length of a test."""
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "deep" / "progress.json"))
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    return tmp_path / "deep" / "progress.json"


def run(*sources):
    """Run these cells in a kernel of their own."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, resources={"metadata": {"path": Path(__file__).parents[2]}}).execute()
    return "".join(output.text for cell in notebook.cells for output in cell.outputs if "text" in output)


def test_a_check_that_passes_is_noted_and_nothing_else(file):
    """Neither one that is not solved yet, nor one that stands in a solution's own cell."""
    seen = f"print('noted:', __import__('os').path.exists({str(file)!r}))"
    both = f"lesson_01.check_diagonal_kernel(None)\n{CHECK}"  # of which it could not say which one passed
    said = run(ANSWER.format("None"), CHECK, RIGHT + "\n\n\n" + CHECK, both, seen, CHECK)
    assert said.count("Correct") == 3
    assert "noted: False" in said
    assert list(progress.solved()) == ["lesson_01.check_output_size"]
    assert list(json.loads(file.read_text())) == ["solved"]


def test_a_check_that_is_graded_or_called_by_a_program_is_not_noted(file, monkeypatch):
    subprocess.run([sys.executable, "-c", f"{RIGHT}\n{CHECK}"], check=True, cwd=Path(__file__).parents[2])
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    run(RIGHT, CHECK)
    assert not file.exists()


def test_the_first_day_is_kept_and_deleting_the_file_resets_it(file):
    file.parent.mkdir()
    file.write_text(json.dumps({"solved": {"lesson_02.check_softmax": "2020-01-01"}}))
    progress.note("lesson_02.check_softmax")
    progress.note("lesson_01.check_output_size")
    assert progress.solved()["lesson_02.check_softmax"] == "2020-01-01"
    assert len(progress.solved()) == 2
    file.unlink()
    assert progress.solved() == {}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"solved": 3}', '"solved"', "my thesis", "\0" * 200_000])
def test_a_file_that_is_not_ours_stays_as_it_is(file, content):
    file.parent.mkdir()
    file.write_text(content)
    progress.note("lesson_01.check_output_size")
    assert file.read_text() == content
    assert progress.solved() == {}


def test_a_place_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "progress.json", tmp_path, "~nosuchuser/progress.json", "x" * 5000):
        monkeypatch.setenv("COURSE_PROGRESS", str(place))
        progress.note("lesson_01.check_output_size")
        assert progress.solved() == {}


def test_two_processes_lose_nothing(file):
    code = "import sys; from helpers.lessons import progress; [progress.note(sys.argv[1] + str(i)) for i in range(20)]"
    command = [sys.executable, "-c", code]
    started = [subprocess.Popen([*command, name], cwd=Path(__file__).parents[2]) for name in ("a", "b")]
    assert [process.wait() for process in started] == [0, 0]
    assert len(progress.solved()) == 40


def test_by_itself_it_lies_in_the_users_folder(monkeypatch):
    monkeypatch.delenv("COURSE_PROGRESS")
    assert progress.path().name == "progress.json"
    assert "convnet-course" in str(progress.path())
