"""A class on the hub of this machine, simulated: ``python -m classroom.load --users 20``, or ``make load USERS=20``.

First one student alone runs a lesson, cell by cell, then a whole class does at once, with thinking times from a seed.
In the middle the hub is killed and started again; one student comes while it is down. What they met is printed as a
table, and with ``--record``, or ``RECORD=…``, kept in a file. Everything happens on the loopback interface, and
ends by itself.
"""

import argparse
import asyncio
import json
import random
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.timing import keep, machine
from classroom.load_hub import MEBIBYTE, Hub, Meter
from classroom.load_student import Record, Student
from helpers.arguments import check_number, check_whole
from helpers.lessons import course

RECORD = Path(__file__).resolve().parents[1] / "data" / "benchmark_load.json"
LONE = "student-alone"
LONE_SECONDS = 150.0
DOWN_SECONDS = 5.0  # that the hub is away
NOTICEABLE = 0.1  # seconds: cells that take less alone are left out where times are compared
SYSTEM_GIB = 1.5  # of a server's memory: the system, hub and proxy
BUSY = 0.5  # share of the processors that a class may take in the long run


@dataclass(frozen=True)
class Plan:
    """What is simulated. Seconds are means for thinking, and the time in which the class arrives."""

    users: int = 20
    lesson: Path = course.LESSONS[0]
    think: float = 4.0
    arrive: float = 30.0
    seed: int = 0
    minutes: float = 12.0  # at most, for everything
    cells: int | None = None  # of the lesson, from its beginning; None for all


@dataclass(frozen=True)
class Measured:
    """A group of students: what each met, and what they took."""

    students: list[Record]
    memory: list[float]  # MiB, the most of each
    memory_all: float  # MiB, the most of all at one time
    memory_taken: float  # MiB, by which the machine's free memory shrank
    processor_seconds: list[float]
    seconds: float


def simulate(plan: Plan) -> tuple[Measured, Measured, str]:
    """One student alone, then the class; and which proxy they came through.

    Raises:
        ValueError: the plan cannot be carried out.
        RuntimeError: the hub does not start.
    """
    check_whole(1, 200, users=plan.users)
    check_number(0, think=plan.think, arrive=plan.arrive)
    check_number(1, 60, minutes=plan.minutes)
    end = time.monotonic() + 60 * plan.minutes - 30  # to clean up
    names = [f"student-{number:02}" for number in range(1, plan.users + 1)]
    with Hub([LONE, *names], plan.lesson.parent) as hub:
        lone_student = _student(hub, plan, LONE, think=0.0)
        lone = _measure(hub, [lone_student], lone_student.attend(leave=True), LONE_SECONDS)
        print(f"Alone: {sum(lone.students[0].cells):.1f} s for {len(lone.students[0].cells)} cells", flush=True)
        students = [_student(hub, plan, name, plan.think) for name in names]
        together = _measure(hub, students, _together(hub, students, plan), end - time.monotonic())
        if any(not record.done for record in (*lone.students, *together.students)):
            print(f"The end of the hub's log:\n{hub.tail()}", file=sys.stderr)
        return lone, together, "Python" if Path(hub.proxy).parent == Path(sys.executable).parent else "Node.js"


def _student(hub: Hub, plan: Plan, name: str, think: float) -> Student:
    return Student(hub.address, name, hub.password, plan.lesson.name, think, plan.seed, plan.cells)


def _measure(hub: Hub, students: list[Student], attend: Coroutine[Any, Any, None], seconds: float) -> Measured:
    """Let them attend, for so many seconds at most, while the meter looks."""
    start = time.perf_counter()

    async def bounded() -> None:
        try:
            async with asyncio.timeout(seconds):
                await attend
        except TimeoutError:
            for student in students:
                if not student.record.done:
                    student.record.errors.append(f"not done after {seconds:.0f} s")

    with Meter(hub) as meter:
        asyncio.run(bounded())
    return Measured(
        [student.record for student in students],
        sorted(count / MEBIBYTE for count in meter.students.values()),
        meter.all / MEBIBYTE,
        meter.taken / MEBIBYTE,
        sorted(meter.processor_seconds().values()),
        time.perf_counter() - start,
    )


async def _together(hub: Hub, students: list[Student], plan: Plan) -> None:
    """All come within some seconds, but the last one, who comes when the hub has been killed."""
    draw, killed = random.Random(plan.seed), asyncio.Event()
    early, late = (students[:-1], students[-1:]) if len(students) > 1 else (students, [])

    async def come(student: Student, after: Awaitable[Any]) -> None:
        await after
        await student.attend()

    attending = [come(student, asyncio.sleep(plan.arrive * draw.random())) for student in early]
    attending += [come(student, killed.wait()) for student in late]
    await asyncio.gather(_break(hub, early, plan, killed), *attending)


async def _break(hub: Hub, students: list[Student], plan: Plan, killed: asyncio.Event) -> None:
    """Kill the hub when the class has run half of its cells, and start it again."""
    code = [cell for cell in course.read(plan.lesson)["cells"] if cell["cell_type"] == "code"]
    all_cells = len(students) * len(code[: plan.cells])
    end = time.monotonic() + 30 * plan.minutes
    while sum(len(student.record.cells) for student in students) < all_cells / 2 and time.monotonic() < end:
        await asyncio.sleep(0.2)
    working = sum(bool(student.record.cells) and not student.record.done for student in students)
    print(f"The hub is killed while {working} of {len(students)} students are at work", flush=True)
    hub.kill()
    killed.set()
    await asyncio.sleep(DOWN_SECONDS)
    start = time.perf_counter()
    await asyncio.to_thread(hub.start)
    print(f"The hub answers again, {time.perf_counter() - start:.1f} s after it was started", flush=True)


# --- What it comes to -------------------------------------------------------------------------------------------------


def failures(measured: Measured) -> list[str]:
    """What went wrong for good, a phrase each."""
    return [
        f"{record.name}: {said}"
        for record in measured.students
        for said in (record.errors + record.lost if record.done else (record.errors or ["not done"]))
    ]


def slowdown(lone: Measured, together: Measured) -> float | None:
    """The median, over the lesson's cells, of how many times as long as alone a cell takes; None if all are short."""
    alone = lone.students[0].cells
    ratios = []
    for i, seconds in enumerate(alone):
        others = [record.cells[i] for record in together.students if len(record.cells) > i]
        if seconds >= NOTICEABLE and others:
            ratios.append(statistics.median(others) / seconds)
    return statistics.median(ratios) if ratios else None


def seats(memory_gib: float, cores: int, student_mib: float, student_seconds: float, lesson_minutes: float) -> int:
    """How many students a server holds.

    Args:
        memory_gib, cores: of the server.
        student_mib: the most memory that a student takes.
        student_seconds: what a student computes in a lesson.
        lesson_minutes: how long the lesson takes.
    """
    by_memory = (memory_gib - SYSTEM_GIB) * 1024 / student_mib
    by_processors = BUSY * cores * 60 * lesson_minutes / student_seconds
    return max(0, int(min(by_memory, by_processors)))


def table(lone: Measured, together: Measured) -> str:
    """Both groups, side by side, as Markdown."""
    rows = [["", "one student", f"{len(together.students)} at once"]]
    for name, tell in ROWS.items():
        rows.append([name, tell(lone), tell(together)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---|---|---|", *lines[1:]])


def _spread(values: Sequence[float | None], digits: int = 1) -> str:
    there = [value for value in values if value is not None]
    if len(there) < 2:
        return f"{there[0]:.{digits}f}" if there else "none"
    return f"{statistics.median(there):.{digits}f}; {max(there):.{digits}f}"


def _cells(measured: Measured) -> list[float]:
    return [seconds for record in measured.students for seconds in record.cells]


ROWS = {
    "logged in": lambda m: f"{sum(r.login is not None for r in m.students)} of {len(m.students)}",
    "cells run": lambda m: f"{len(_cells(m)):,}",
    "failures, lost work": lambda m: f"{len(failures(m))}, {sum(len(r.lost) for r in m.students)}",
    "requests sent again while the hub was away": lambda m: str(sum(r.retries for r in m.students)),
    "login, seconds (median; slowest)": lambda m: _spread([r.login for r in m.students]),
    "from there to a lesson with its kernel": lambda m: _spread([r.start for r in m.students]),
    "a cell, seconds (median; slowest)": lambda m: _spread(_cells(m), 2),
    "all cells of the lesson, seconds": lambda m: _spread([sum(r.cells) for r in m.students if r.done]),
    "processor seconds for each": lambda m: _spread(m.processor_seconds),
    "memory for each, MiB": lambda m: _spread(m.memory, 0),
    "memory of all, MiB": lambda m: f"{m.memory_all:,.0f}",
}
SERVERS = ((4, 2), (8, 4), (16, 4), (32, 8), (64, 16))  # GB and cores


def advice(together: Measured, lesson: Path) -> str:
    """How many students fit servers of several sizes, in a sentence."""
    minutes = course.minutes(course.read(lesson))[0]
    most, seconds = max(together.memory), max(together.processor_seconds)
    fitting = [f"{seats(memory, cores, most, seconds, minutes)} on {memory} GB" for memory, cores in SERVERS]
    return f"A student of this lesson takes {most:,.0f} MiB at most, so there is room for {', '.join(fitting)}."


def as_numbers(measured: Measured) -> dict[str, Any]:
    """For the record: all of it, rounded."""
    return json.loads(json.dumps(asdict(measured)), parse_float=lambda number: round(float(number), 3))


def read(record: Path) -> tuple[Measured, Measured]:
    """What a record says of the student alone, and of the class."""

    def group(numbers: dict[str, Any]) -> Measured:
        return Measured(**numbers | {"students": [Record(**each) for each in numbers["students"]]})

    kept = json.loads(record.read_text(encoding="utf-8"))
    return group(kept["alone"]), group(kept["together"])


def run(plan: Plan, record: Path | None) -> bool:
    """Simulate, tell, and keep the record if there is a place for it; whether all went well."""
    lone, together, proxy = simulate(plan)
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GB of memory"
    times = slowdown(lone, together)
    print(f"\n{machine()}, {memory}; {plan.lesson.stem}, {plan.think:g} s between two cells\n")
    print(table(lone, together))
    if times is not None:
        print(f"\nA cell that takes a tenth of a second or more took {times:.1f} times as long as alone (median).")
    if together.memory:
        print(advice(together, plan.lesson))
    wrong = failures(lone) + failures(together)
    print("\n".join(["", *wrong[:20]]) if wrong else "\nNothing failed, and nothing was lost.")
    if record:
        settings = asdict(plan) | {"lesson": plan.lesson.name}
        numbers = {"alone": as_numbers(lone), "together": as_numbers(together)}
        said = {"memory": memory, "proxy": f"configurable-http-proxy of {proxy}"}
        keep(record, f"make load USERS={plan.users}", **said, plan=settings, slowdown=times, **numbers)
    return not wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--users", type=int, default=Plan.users, help="students at once (default: %(default)s)")
    parser.add_argument("--lesson", type=int, default=1, help="its number (default: %(default)s)")
    parser.add_argument("--think", type=float, default=Plan.think, help="mean seconds between cells (%(default)s)")
    parser.add_argument("--arrive", type=float, default=Plan.arrive, help="seconds in which all come (%(default)s)")
    parser.add_argument("--cells", type=int, help="only so many of the lesson")
    parser.add_argument("--seed", type=int, default=Plan.seed, help="of thinking and arriving (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="at most (default: %(default)s)")
    parser.add_argument("--record", type=Path, help="file to write; without it nothing is kept")
    given = parser.parse_args(arguments)
    if not 1 <= given.lesson <= len(course.LESSONS):
        parser.error(f"--lesson must be a number from 1 to {len(course.LESSONS)}, not {given.lesson}")
    lesson = course.LESSONS[given.lesson - 1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    plan = Plan(given.users, lesson, given.think, given.arrive, given.seed, given.minutes, given.cells)
    try:
        return 0 if run(plan, given.record) else 1
    except (ValueError, RuntimeError, FileNotFoundError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
