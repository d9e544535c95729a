"""Accounts for a class: ``python -m classroom.accounts``, as root, makes one for each name in the list of the class.

It prints name and password of each account that it makes, once, for the teacher to hand out. Who has an account keeps
it as it is. A home is its owner's alone.
"""

import argparse
import pwd
import secrets
import subprocess
import sys
from pathlib import Path

from classroom import hub

LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that looks like another
FIRST_ID = 1000  # of people; below are the system's accounts


def password() -> str:
    """Twelve letters and digits in three groups: 60 bits."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(3))


def missing(names: set[str]) -> list[str]:
    """The names that have no account yet.

    Raises:
        ValueError: a name is one of the system's own accounts.
    """
    new = []
    for name in sorted(names):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            new.append(name)
            continue
        if account.pw_uid < FIRST_ID:
            raise ValueError(f"{name} is an account of the system itself: choose another name")
    return new


def make(name: str) -> str:
    """Make an account, and give its password.

    Raises:
        subprocess.CalledProcessError: it could not be made.
    """
    subprocess.run(["useradd", "--create-home", "--key", "HOME_MODE=0700", "--shell", "/bin/bash", name], check=True)
    chosen = password()
    subprocess.run(["chpasswd"], input=f"{name}:{chosen}\n", text=True, check=True)
    return chosen


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("list", nargs="?", type=Path, default=hub.settings().class_list, help="(%(default)s)")
    given = parser.parse_args()
    try:
        students, teachers = hub.read_class(given.list)
        new = missing(students | teachers)
        for name in new:
            print(f"{name}\t{make(name)}", flush=True)
    except (ValueError, OSError, subprocess.CalledProcessError) as error:
        parser.error(str(error))
    if not new:
        print(f"Each of the {len(students | teachers)} names in {given.list} has an account.", file=sys.stderr)


if __name__ == "__main__":
    main()
