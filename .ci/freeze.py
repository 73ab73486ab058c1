"""Write constraints.txt from the environment this runs in.

Usage: ``python .ci/freeze.py > constraints.txt``. Pins what the extras ``all`` and
``test`` bring in, nothing that merely happens to be installed beside them. Local parts
of a version (``+cpu``) are left out: the pin then fits every build of that version.
"""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ("all", "export", "openvino", "scale", "train", "test")
SMOKE = {"pyside6-essentials": "6.12.0"}
HEADER = """\
# Versions tested together (Python 3.11, Debian 12), written by .ci/freeze.py.
# A constraint pins a package only where something asks for it, so this file
# installs nothing by itself and holds on every system.
"""


def wanted(requirement: Requirement, extra: str) -> bool:
    """Tell whether a requirement applies here, with one extra switched on."""
    marker = requirement.marker
    return marker is None or marker.evaluate({"extra": extra})


def collect(name: str, extras: set[str], seen: dict[str, set[str]]) -> None:
    """Add a distribution and all it needs to `seen`."""
    key = canonicalize_name(name)
    new = ({""} | extras) - seen.get(key, set())
    try:
        found = distribution(name)
    except PackageNotFoundError:
        sys.stderr.write(f"not installed, left out: {name}\n")
        return
    seen.setdefault(key, set()).update(new)
    for line in (found.requires or []) if new else []:
        requirement = Requirement(line)
        if any(wanted(requirement, extra) for extra in new):
            collect(requirement.name, set(requirement.extras), seen)


def main() -> None:
    """Print the constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in EXTRAS:
        lines += project["optional-dependencies"][extra]
    seen: dict[str, set[str]] = {}
    for requirement in map(Requirement, lines):
        if canonicalize_name(requirement.name) != canonicalize_name(project["name"]):
            collect(requirement.name, set(requirement.extras), seen)
    pins = {name: distribution(name).version for name in seen} | SMOKE
    sys.stdout.write(HEADER)
    for name in sorted(pins):
        sys.stdout.write(f"{name}=={re.sub(r'[+].*', '', pins[name])}\n")


if __name__ == "__main__":
    main()
