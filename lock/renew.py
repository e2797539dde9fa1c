"""Writes the lock: exact versions, with the hashes of every platform's wheels and no index's address.

`make lock` calls it in a throwaway environment that holds uv and nothing else. `renew.py` renews all,
`renew.py --only NAME` one package and what must move with it, `renew.py --s3` what `make test-s3` installs.
`renew.py --resolve highest FILE` and `--resolve lowest-direct FILE` write what `make test-newest` and
`make test-lowest` install.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

LOCK = Path(__file__).parent.resolve()
ROOT = LOCK.parent
TESTED = ROOT / "vision_flan" / "tested_versions.json"
UV = Path(sys.executable).parent / "uv"

#: The oldest Python, for which a version must exist too.
PYTHON = "3.11"
#: Published as source only; `build.txt` has what builds it.
SOURCE_ONLY = ("jsonpath-rw",)
#: What builds need besides pyproject.toml's `build-system`: hatchling's editable install, and SOURCE_ONLY.
BUILDS = ("editables", "setuptools")

#: Where what speaks S3 wants an older version than all else: these may differ in `s3.txt`.
HELD_BACK = ("python-dateutil",)

EXTRAS = {"plain": (), "dev": ("sources", "dev"), "test": ("sources", "ray", "review", "train-test", "dev")}
S3_EXTRAS = ("sources", "dev", "s3", "s3-test")


def resolve(out: Path, requirements: list[str], *options: str) -> None:
    """Write what `requirements` and all they need resolve to, in pip's format."""
    with tempfile.TemporaryDirectory() as folder:
        excludes = Path(folder, "excludes.txt")
        excludes.write_text("torch\n", "utf-8")  # a plain "torch" is gigabytes of CUDA
        wheels = ["--only-binary", ":all:"] + [part for name in SOURCE_ONLY for part in ("--no-binary", name)]
        command = [
            str(UV),
            "pip",
            "compile",
            "--quiet",
            "--no-config",
            "--no-emit-index-url",
            "--no-annotate",
        ]
        command += ["--generate-hashes", "--excludes", str(excludes), *wheels, *options]
        command += ["--custom-compile-command", "make lock", "--output-file", str(out), *requirements]
        subprocess.run(command, cwd=ROOT, check=True)


def inputs(name: str) -> list[str]:
    """What a lock file is for: the package with extras; with the trainer, what torch asks for."""
    extras = [part for extra in EXTRAS.get(name, S3_EXTRAS) for part in ("--extra", extra)]
    return ["pyproject.toml", *extras, *(["lock/torch-needs.txt"] if name == "test" else [])]


UNIVERSAL = ("--universal", "--python-version", PYTHON, "--fork-strategy", "fewest")


def renew_s3(only: str | None) -> None:
    """Renew what `make test-s3` installs: the versions of the other files, but for HELD_BACK."""
    upgrade = ["--upgrade-package", only] if only else ["--upgrade"]
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "known.txt")
        known.write_text(
            "".join(f"{name}=={version}\n" for name, version in locked().items() if name not in HELD_BACK)
        )
        resolve(LOCK / "s3.txt", inputs("s3"), *UNIVERSAL, "--constraints", str(known), *upgrade)


def renew(only: str | None) -> None:
    """Renew the largest file, and take the others from it: a package has one version in all of them."""
    upgrade = ["--upgrade-package", only] if only else ["--upgrade"]
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder, "build.in")
        build_system = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]
        build.write_text("\n".join([*build_system["requires"], *BUILDS]), "utf-8")
        resolve(LOCK / "test.txt", [*inputs("test"), str(build)], *UNIVERSAL, *upgrade)
        for name, requirements in {"build": [], "plain": inputs("plain"), "dev": inputs("dev")}.items():
            fresh = Path(folder, f"{name}.txt")
            resolve(fresh, [*requirements, str(build)], *UNIVERSAL, "--constraints", "lock/test.txt")
            (LOCK / f"{name}.txt").write_bytes(fresh.read_bytes())


def locked() -> dict[str, str]:
    """Package -> version in the lock."""
    lines = (LOCK / "test.txt").read_text("utf-8").splitlines()
    found = (re.match(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def write_tested() -> None:
    """Tell the package which versions its shards were tested with."""
    sys.path.insert(0, str(ROOT))
    from vision_flan.versions import DECIDING

    versions = locked()
    data = json.dumps({name: versions[name] for name in DECIDING}, indent=2)
    TESTED.write_text(data + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", help="renew this package and keep the others")
    parser.add_argument("--s3", action="store_true", help="renew lock/s3.txt alone")
    parser.add_argument(
        "--resolve", nargs=2, metavar=("RESOLUTION", "FILE"), help="write no lock but this file"
    )
    options = parser.parse_args()
    if options.resolve:
        resolution, out = options.resolve
        python = "{}.{}".format(*sys.version_info)
        resolve(
            Path(out), inputs("test"), "--python-version", python, "--resolution", resolution, "--upgrade"
        )
        return
    if not options.s3:
        renew(options.only)
        write_tested()
    renew_s3(options.only)


if __name__ == "__main__":
    main()
