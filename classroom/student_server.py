"""A student's server: hand out the lessons that the student does not have yet, then become JupyterHub's server.

It runs as the student, on one server as in a container, so it can do no more than the student can. A notebook that is
there stays as it is, whatever is in it; one that was renamed or deleted is handed out afresh at the next start.
"""

import contextlib
import os
import sys
import tempfile
from pathlib import Path

FOLDER = "convnet-course"  # in the student's home
# No question about news, no request for a newer version, and no extension that only one student has.
QUIET = [
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
]


def hand_out(lessons: Path, target: Path) -> list[str]:
    """Copy the notebooks of a folder that the target has not; gives their names.

    A copy is written beside its place and gets its name when it is whole, and only where nothing has that name, not
    even a link that leads nowhere.

    Raises:
        OSError: the lessons cannot be read, or the target cannot be written.
    """
    target.mkdir(parents=True, exist_ok=True)
    handed_out = []
    for source in sorted(lessons.glob("*.ipynb")):
        if not os.path.lexists(target / source.name) and _copy(source.read_bytes(), target / source.name):
            handed_out.append(source.name)
    return handed_out


def _copy(content: bytes, place: Path) -> bool:
    """Whether the content got its name; not where another process was faster."""
    handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".handing-out-")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        try:
            os.link(temporary, place)  # unlike a renaming, this fails where the name is taken
        except FileExistsError:
            return False
        except OSError:  # a disk without links
            with contextlib.suppress(FileExistsError), open(place, "xb") as file:
                file.write(content)
        return True
    finally:
        os.unlink(temporary)


def main() -> None:
    """Hand out, and start; a student whose disk is full gets a server all the same, to make room."""
    lessons = Path(os.environ.get("COURSE_LESSONS") or Path(__file__).resolve().parents[1] / "notebooks")
    try:
        for name in hand_out(lessons, Path.home() / FOLDER):
            print(f"Handed out {name}", file=sys.stderr)
    except OSError as error:
        print(f"The lessons could not all be handed out: {error}", file=sys.stderr)
    server = [sys.executable, "-m", "jupyterhub.singleuser", *QUIET, *sys.argv[1:]]
    os.execv(server[0], server)


if __name__ == "__main__":
    main()
