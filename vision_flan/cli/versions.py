"""`vflan --version --verbose`, and the line that says which packages are not the tested ones."""

from __future__ import annotations

import platform
from dataclasses import asdict

from vision_flan import __version__
from vision_flan.cli.output import echo, print_json
from vision_flan.versions import DecidingVersion, deciding_versions, untested_notice


def print_versions(*, as_json: bool) -> None:
    """The package, Python, and every package that decides the bytes of a shard."""
    python, packages = platform.python_version(), deciding_versions()
    if as_json:
        states = [{**asdict(package), "state": _state(package)} for package in packages]
        print_json({"vision_flan": __version__, "python": python, "packages": states})
        return
    echo(f"vflan, version {__version__}\npython {python}")
    said = {
        "tested": "{name} {installed}, the tested one",
        "untested": "{name} {installed}, not the tested {tested}",
        "absent": "{name} is not installed, {tested} is tested",
    }
    for package in packages:
        echo(said[_state(package)].format(**asdict(package)))


def print_untested_notice() -> None:
    """Print to standard error, in one line, which packages are not the tested ones; nothing if all are."""
    notice = untested_notice()
    if notice:
        echo(notice, err=True)


def _state(package: DecidingVersion) -> str:
    if package.installed is None:
        return "absent"
    return "untested" if package.differs else "tested"
