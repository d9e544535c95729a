"""The notebooks themselves: freshly executed, complete, with alt texts, and whole without their solutions."""

import ast
import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from helpers.lessons import course, explore

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
LESSONS = NOTEBOOKS[1:]  # without the start page
LAST_SECTIONS = ["What goes wrong", "Exercises", "Recap", "Quiz", "Read on"]
QUESTIONS = json.loads((FOLDER / "questions.json").read_text())


def opened(path):
    """A notebook; its path is in ``metadata.path``."""
    read = nbformat.read(path, as_version=4)
    read.metadata.path = path
    return read


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    """Each notebook in turn."""
    return opened(request.param)


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    """Each lesson in turn."""
    return opened(request.param)


def code_cells(notebook, tag=None):
    cells = [c for c in notebook.cells if c.cell_type == "code"]
    return [c for c in cells if tag in c.metadata.get("tags", [])] if tag else cells


def headings(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    return re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)


def test_is_valid_and_freshly_executed(notebook):
    nbformat.validate(nbformat.from_dict(dict(notebook) | {"metadata": {}}))
    assert notebook.metadata.kernelspec.name == "python3"
    assert [c.execution_count for c in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert not [o for c in code_cells(notebook) for o in c.outputs if o.output_type == "error"]


def test_is_small_enough(notebook):
    assert notebook.metadata.path.stat().st_size < 2_000_000
    assert max(len(c.source.splitlines()) for c in code_cells(notebook)) <= 20


STORED = re.compile(r'<p>.*<img alt="[^"]{40,}" src="data:image/webp;base64,([^"]*)">.*"kind": "(\w+)"')


def test_its_explorers_were_stored_with_what_is_there_until_they_run(notebook):
    """It is also what those see who read where nothing runs."""
    cells = code_cells(notebook)
    texts = [o.data["text/html"] for c in cells for o in c.outputs if "text/html" in o.get("data", {})]
    found = [match.groups() for text in texts if (match := STORED.search(text))]
    assert len(found) == sum("_explorer(" in c.source for c in cells) > 0
    for image, kind in found:
        assert base64.b64decode(image) == (explore.STILLS / f"{kind}.webp").read_bytes()
    answers = [text.count("<details><summary>Answer</summary>") for text in texts if 'data-explorer="quiz"' in text]
    assert len(answers) == sum("quiz(" in c.source for c in cells)
    assert min(answers, default=5) >= 5


def test_names_no_absolute_path(notebook):
    del notebook.metadata["path"]
    text = nbformat.writes(notebook)
    assert not re.findall(r"""(?:^|["'\s(])(?:/(?:home|root|Users|tmp|opt)/|[A-Z]:\\\\)""", text)


def test_its_code_depends_on_no_folder(notebook):
    assert not [cell.source for cell in code_cells(notebook) if "../" in cell.source]


def test_every_figure_has_an_alt_text(notebook):
    figures = [(o.data, o.metadata) for c in code_cells(notebook) for o in c.outputs if "data" in o]
    for data, metadata in figures:
        for mime in set(data) & {"image/png", "image/jpeg", "image/webp"}:
            assert len(metadata.get(mime, {}).get("alt", "")) > 30, data


def test_an_alt_text_is_one_string_on_one_line(notebook):
    for cell in code_cells(notebook):
        calls = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)]
        for call in calls:
            if re.search(r"\bshow\w*$", ast.unparse(call.func)):
                texts = [a for a in call.args if isinstance(a, ast.Constant | ast.JoinedStr)]
                assert all(text.lineno == text.end_lineno for text in texts), cell.source


def test_a_claim_is_hidden_and_says_what_is_wrong(notebook):
    for cell in code_cells(notebook, "claim"):
        nodes = list(ast.walk(ast.parse(cell.source)))
        asserts = [node for node in nodes if isinstance(node, ast.Assert)]
        assert asserts, cell.source
        assert all(node.msg for node in asserts), cell.source
        assert cell.metadata.tags == ["claim"]  # with another, nbval might skip it, or expect it to fail
        assert cell.metadata.jupyter.source_hidden
        assert not cell.outputs


def test_has_all_its_parts(lesson):
    titles = headings(lesson)
    assert [t for t in titles if t in LAST_SECTIONS] == LAST_SECTIONS
    assert re.match(r"\d · ", titles[0])
    assert titles[0] == course.title(course.read(lesson.metadata.path))
    assert course.promise(course.read(lesson.metadata.path))
    number = lesson.metadata.path.name[:2]
    quiz = json.loads((FOLDER / "quizzes" / f"{number}.json").read_text())
    assert 3 <= len(quiz) <= 5
    for question in quiz:
        assert sum(bool(a.get("correct")) for a in question["answers"]) == 1, question["question"]
        assert all(a.get("feedback") for a in question["answers"])


def test_leads_to_its_neighbours_at_the_top_and_the_bottom(lesson):
    marked = [i for i, cell in enumerate(lesson.cells) if "navigation" in cell.metadata.get("tags", [])]
    assert marked == [0, len(lesson.cells) - 1]
    assert {lesson.cells[i].source for i in marked} == {course.navigation(lesson.metadata.path)}


def test_what_is_to_be_guessed_is_folded_until_it_is_run(notebook):
    for cell in code_cells(notebook, "guess"):
        assert cell.outputs, cell.source
        assert cell.metadata.jupyter.outputs_hidden, cell.source


def asides(notebook):
    """The cells of each aside: from its heading to the next one of the same level or a higher one."""
    found, level = [], 0
    for cell in notebook.cells:
        heading = re.match(r"(#+) (Aside: )?", cell.source) if cell.cell_type == "markdown" else None
        if heading and level and len(heading[1]) <= level:
            level = 0
        if heading and heading[2]:
            level = len(heading[1])
            found.append([])
        if level:
            found[-1].append(cell)
    return found


def test_asides_are_folded(notebook):
    written = [title for title in headings(notebook) if title.startswith("Aside:")]
    assert len(written) == len(asides(notebook)), "an aside's heading, and the one that ends it, begin their cells"
    for heading, *rest in asides(notebook):
        assert heading.metadata["jp-MarkdownHeadingCollapsed"]
        written = [heading.source, *(cell.source for cell in rest if cell.cell_type == "markdown")]
        assert len(re.findall(r"^#+ ", "\n".join(written), re.M)) == 1


def names(source, kind):
    """The names that code reads (``ast.Load``) or gives (``ast.Store``), imports and definitions among the latter."""
    nodes = list(ast.walk(ast.parse(source)))
    found = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, kind)}
    if kind is ast.Store:
        found |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
        found |= {(a.asname or a.name).split(".")[0] for node in imports for a in node.names}
    return found


def test_nothing_depends_on_an_aside(notebook):
    skipped = [id(cell) for aside in asides(notebook) for cell in aside]
    given, only_there = set(), set()
    for cell in code_cells(notebook):
        if id(cell) in skipped:
            only_there |= names(cell.source, ast.Store) - given
        elif "solution" not in cell.metadata.get("tags", []):
            new = names(cell.source, ast.Store)
            missing = (names(cell.source, ast.Load) - new) & only_there
            assert not missing, f"{missing} is given in an aside only, and used in: {cell.source}"
            given |= new
            only_there -= new


def anchors(notebook):
    """What a link to each heading looks like in JupyterLab."""
    return {title.replace("`", "").replace(" ", "-") for title in headings(notebook)}


def test_links_lead_somewhere(notebook):
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    for file, anchor in re.findall(r"\]\(([\w.]+\.ipynb)?(?:#([^)\s]+))?\)", text):
        if file and not (FOLDER / file).exists():
            assert file > NOTEBOOKS[-1].name, f"{file} does not exist"  # a lesson still to come
            continue
        target = nbformat.read(FOLDER / file, as_version=4) if file else notebook
        assert not anchor or anchor in anchors(target), f"no heading {anchor} in {file or 'this notebook'}"


def test_each_exercise_has_a_check_and_a_solution(lesson):
    cells = code_cells(lesson)
    exercises = [i for i, c in enumerate(cells) if "exercise" in c.metadata.get("tags", [])]
    assert 2 <= len(exercises) <= 4
    for i in exercises:
        check, solution = cells[i + 1], cells[i + 2]
        assert re.match(r"lesson_\d\d\.check_", check.source)
        assert "solution" in solution.metadata.tags
        assert solution.metadata.jupyter.source_hidden
        assert solution.source.endswith(check.source)
        assert "Not attempted yet" in check.outputs[0].text
        assert solution.outputs[0].text.startswith("Correct")
    named = [exercise.check for exercise in course.exercises(course.read(lesson.metadata.path))]
    assert named == [cells[i + 1].source.partition("(")[0] for i in exercises]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q["id"])
def test_each_question_of_the_learner_is_answered(question):
    path = FOLDER / question["notebook"]
    assert question["heading"] in headings(nbformat.read(path, as_version=4))


def test_no_question_is_forgotten():
    answered = [q["id"] for q in QUESTIONS]
    assert answered == [f"Q{i}" for i in range(1, len(answered) + 1)]
    assert len(answered) >= 40


def write(path, *sources, **tags):
    """A notebook with these code cells, executed; ``solution=1`` gives the second that tag."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    NotebookClient(notebook).execute()
    for tag, place in tags.items():
        notebook.cells[place].metadata.tags = [tag.replace("_", "-")]
    nbformat.write(notebook, path)
    return notebook


RED = "from PIL import Image; Image.new('RGB', (64, 64), 'red')"
CHANGES = {
    "changed": ("1 + 1", "1 + 2"),
    "failing": ("1 + 1", "1 / 0"),
    "false_claim": ("assert 1 < 2, 'smaller'", "assert 2 < 1, 'smaller'"),
    "recolored": (RED, RED.replace("red", "blue")),
}


def test_the_safety_net_has_no_hole(tmp_path):
    """Nbval, set up as here, fails on another output or figure, a failing cell, and one that depends on a solution."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("conftest.py", "figures.py"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    write(folder / "good.ipynb", "a = 1", "a = 2", "a + 1 > 1", CHANGES["recolored"][0], solution=1)
    write(folder / "dependent.ipynb", "a = 1", "a = 2", "a", solution=1)
    for name, (before, after) in CHANGES.items():
        notebook = write(folder / f"{name}.ipynb", before, RED, figure_varies=1)
        notebook.cells[0].source = after
        notebook.cells[1].source = CHANGES["recolored"][1]
        nbformat.write(notebook, folder / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"]
    output = subprocess.run([*command, str(folder)], capture_output=True, text=True, cwd=tmp_path).stdout
    assert set(re.findall(r"^FAILED \S*?(\w+)\.ipynb", output, re.M)) == {*CHANGES, "dependent"}
    assert "5 failed, 10 passed" in output
    assert "AssertionError: smaller" in re.sub(r"\x1b\[[\d;]*m", "", output)
    assert re.search(r"figure 0 differs by \d\.\d+", output)
    assert len(list((tmp_path / "build" / "figures").glob("recolored_cell_0_0_*.png"))) == 2
