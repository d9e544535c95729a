"""The start page: what this machine can do, what the reader has done, and where everything is found."""

import itertools
import json
import os

import psutil
import torch
from IPython.display import Markdown

from helpers import data, devices, models, pretrained
from helpers.lessons import course, progress

GIGABYTE = 1e9
LESSON_NEEDS = 1.7  # gigabytes: more than the largest peak of a lesson in data/benchmark_sharing.json
NEEDED = {
    "Fashion-MNIST, 70,000 images of clothes": data.find,  # which fetches it
    "FashionNet, which lesson 3 builds": models.trained_fashion_net,
    "SqueezeNet, trained on photographs": pretrained.load,
}


def check_machine() -> None:
    """Print what this machine has for the course, a line each, and what to do about what is missing."""
    memory = psutil.virtual_memory()
    is_enough = memory.available > LESSON_NEEDS * GIGABYTE
    advice = "enough for a lesson" if is_enough else "close other programs, and open one lesson at a time"
    print(f"Computing: {_computing()}")
    print(f"Memory: {memory.available / GIGABYTE:.0f} GB of {memory.total / GIGABYTE:.0f} are free; {advice}")
    for name, load in NEEDED.items():
        try:
            load()
        except Exception as error:  # said, whatever it is: the page goes on
            print(f"{name}: {error}")
        else:
            print(f"{name}: ready")


def _computing() -> str:
    device = devices.best_device()
    if device.type == "cuda":
        place = f"on the graphics card {torch.cuda.get_device_name()}"
    elif device.type == "mps":
        place = "on Apple's graphics processor"
    else:
        cores = f"{os.cpu_count()} cores" if (os.cpu_count() or 1) > 1 else "one core"
        place = f"on the processor ({cores}), which is enough: no lesson computes for longer than two minutes"
    has_bf16 = devices.has_fast_bf16(device)
    return f"{place}; numbers of {'16 bits where that is faster' if has_bf16 else '32 bits'}"


def course_map() -> Markdown:
    """The way through the course, station by station, and what each lesson promises."""
    notebooks = [course.read(path) for path in course.LESSONS]
    stations = [f"[{name}]({course.LESSONS[lesson - 1].name})" for name, lesson in course.STATIONS.items()]
    lines = [" → ".join(stations), "", "| lesson | what it is about |", "|---|---|"]
    for path, notebook in zip(course.LESSONS, notebooks, strict=True):
        lines.append(f"| [{course.title(notebook)}]({path.name}) | {course.promise(notebook)} |")
    return Markdown("\n".join(lines))


def show_progress() -> Markdown:
    """A table of the lessons and their exercises: which are solved on this machine, and what comes next."""
    done = progress.solved()
    lines, following = ["| lesson | minutes | exercises | solved |", "|---|---|---|---|"], ""
    for path in course.LESSONS:
        notebook = course.read(path)
        exercises = course.exercises(notebook)
        count = sum(exercise.check in done for exercise in exercises)
        marks = "".join("●" if exercise.check in done else "○" for exercise in exercises)
        core, asides = course.minutes(notebook)
        times = f"{core} + {asides}" if asides else str(core)
        lines.append(f"| [{course.title(notebook)}]({path.name}) | {times} | {marks} | {count} of {len(exercises)} |")
        for exercise in exercises:
            if not following and exercise.check not in done:
                place = f"{path.name}#{course.anchor(exercise.heading)}"
                following = f"[lesson {int(path.name[:2])}, {exercise.heading}]({place})"
    ending = f"The next one: {following}." if following else "**All of them. Congratulations!**"
    return Markdown("\n".join([*lines, "", ending]))


def questions() -> Markdown:
    """The questions that the course answers, each a link to its answer."""
    asked = json.loads((course.FOLDER / "questions.json").read_text(encoding="utf-8"))
    titles = {path.name: course.title(course.read(path)) for path in course.LESSONS}
    lines = []
    for name, group in itertools.groupby(asked, key=lambda question: question["notebook"]):
        lines += ["", f"**{titles[name]}**", ""]
        lines += [f"- [{q['question']}]({name}#{course.anchor(q['heading'])})" for q in group]
    return Markdown("\n".join(lines))


def glossary() -> Markdown:
    """Every word that a lesson introduces, with what it means and where it is introduced."""
    meanings = json.loads((course.FOLDER / "glossary.json").read_text(encoding="utf-8"))
    places: dict[str, list[str]] = {}
    for path in course.LESSONS:
        for word, place in course.words(course.read(path)).items():
            places.setdefault(word, []).append(f"[{int(path.name[:2])}]({path.name}#{place})")
    lines = []
    for names, meaning in sorted(meanings.items(), key=lambda entry: entry[0].strip("`").casefold()):
        found = dict.fromkeys(place for name in names.split(", ") for place in places.get(name, []))
        lines.append(f"- **{names}**: {meaning} ({'lessons' if len(found) > 1 else 'lesson'} {', '.join(found)})")
    return Markdown("\n".join(lines))
