"""Provokes the messages of docs/troubleshooting.md: names, raw files, downloads, specs.

Each function is registered under the heading of its entry and returns what the command printed.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import zipfile
from pathlib import Path

from PIL import Image

from tests.docs.bench import Bench, entry
from tests.raw.http_server import Upstream, serving
from tests.toy import Toy

# --- names


@entry("There is no task of that name")
def _(bench: Bench) -> str:
    return bench.vflan("show ocr_textcr")


@entry("There is no dataset of that name")
def _(bench: Bench) -> str:
    return bench.vflan("fetch textocrr")


@entry("There is no suite of that name")
def _(bench: Bench) -> str:
    return bench.vflan("compile --suite vision_flam --raw .")


# --- raw files


@entry("The raw folder does not exist")
def _(bench: Bench) -> str:
    return bench.vflan("compile --task texture_dtd --raw raww")


@entry("There is no folder for the dataset")
def _(bench: Bench) -> str:
    (bench.folder / "raw").mkdir()
    return bench.vflan("compile --task vqa_clevr --raw raw")


@entry("Raw files are missing")
def _(bench: Bench) -> str:
    bench.vflan("miniature dtd --out unpacked --n 12")
    (bench.folder / "raw/dtd/downloads").mkdir(parents=True)
    (bench.folder / "unpacked").rename(bench.folder / "raw/dtd/downloads/dtd-r1.0.1")
    return bench.vflan("compile --task texture_dtd --raw raw")


@entry("No image was found")
def _(bench: Bench) -> str:
    toy = bench.toy()
    (toy.raw / "toy/images").rename(toy.raw / "toy/photos")
    return bench.compile()


@entry("An image is dropped: broken_image")
def _(bench: Bench) -> str:
    toy = bench.toy()
    image = toy.raw / "toy/images/0003.png"
    image.write_bytes(image.read_bytes()[:-20])
    return bench.compile()


@entry("An archive is damaged or cut short")
def _(bench: Bench) -> str:
    toy = bench.toy()
    packed = _zipped(toy)
    packed.write_bytes(packed.read_bytes()[:-100])
    return bench.compile()


@entry("An archive is no archive")
def _(bench: Bench) -> str:
    toy = bench.toy()
    _zipped(toy).write_text("<!doctype html><title>Sign in</title>")
    return bench.compile()


def _zipped(toy: Toy) -> Path:
    """The toy's images in an archive instead of a folder."""
    folder = toy.raw / "toy/images"
    with zipfile.ZipFile(toy.raw / "toy/images.zip", "w") as archive:
        for image in sorted(folder.iterdir()):
            archive.write(image, f"images/{image.name}")
    shutil.rmtree(folder)
    return toy.raw / "toy/images.zip"


@entry("JSON is cut off")
def _(bench: Bench) -> str:
    records = bench.toy().raw / "toy/toy.json"
    records.write_text(records.read_text()[:-30])
    return bench.compile()


@entry("A value is not of the declared type")
def _(bench: Bench) -> str:
    bench.toy().write_records([{"name": ["0000.png"], "color": "r"}])
    return bench.compile()


@entry("A link leads out of the folder")
def _(bench: Bench) -> str:
    toy = bench.toy()
    outside = bench.folder / "elsewhere"
    (toy.raw / "toy/images").rename(outside)
    (toy.raw / "toy/images").symlink_to(outside)
    return bench.compile()


# --- downloads


@entry("A checksum differs")
def _(bench: Bench) -> str:
    with serving(Upstream()) as upstream:
        return bench.fetch(upstream, md5=hashlib.md5(b"another").hexdigest())


@entry("A web page came instead of the file")
def _(bench: Bench) -> str:
    with serving(Upstream(content=b"<html>sign in</html>", kind="text/html")) as upstream:
        return bench.fetch(upstream)


@entry("The file is gone from the server")
def _(bench: Bench) -> str:
    with serving(Upstream(status=404)) as upstream:
        return bench.fetch(upstream)


@entry("The server cannot be reached")
def _(bench: Bench) -> str:
    bench.monkeypatch.setattr("vision_flan.raw.transfer.PAUSE", 0.0)
    return bench.fetch(Upstream(url="http://127.0.0.1:9"))


@entry("There is too little space for a download")
def _(bench: Bench) -> str:
    with serving(Upstream()) as upstream:
        return bench.fetch(upstream, bytes=10**18)


@entry("The dataset wants a registration")
def _(bench: Bench) -> str:
    with serving(Upstream()) as upstream:
        return bench.fetch(upstream, access="gated")


# --- specs


@entry("A spec has an unknown key")
def _(bench: Bench) -> str:
    bench.toy().replace("image: images", "imagee: images")
    return bench.vflan("validate toy_color")


@entry("A spec is not plain YAML")
def _(bench: Bench) -> str:
    bench.toy().replace("title: Color", "title: The task: Color")
    return bench.vflan("validate toy_color")


@entry("A template uses an unknown field")
def _(bench: Bench) -> str:
    bench.toy().replace("{{ name }}", "{{ file_name }}")
    return bench.vflan("validate toy_color")


@entry("A template does not parse")
def _(bench: Bench) -> str:
    bench.toy().replace("{{ name }}", "{{ name }")
    return bench.vflan("validate toy_color")


@entry("SQL names an unknown column")
def _(bench: Bench) -> str:
    bench.toy().replace("table: records", "sql: SELECT nam, color FROM records")
    return bench.vflan("validate toy_color")


@entry("SQL calls a function that is not allowed")
def _(bench: Bench) -> str:
    bench.toy().replace("table: records", "sql: SELECT name, random() AS color FROM records")
    return bench.vflan("validate toy_color")


@entry("Rows have no order")
def _(bench: Bench) -> str:
    bench.toy().replace(
        "table: records", "sql: SELECT first(name) AS name, color FROM records GROUP BY color"
    )
    return bench.vflan("validate toy_color")


@entry("A task yields no instance: unknown_label")
def _(bench: Bench) -> str:
    toy = bench.toy()
    toy.write_records([{"name": f"{i:04}.png", "color": "purple"} for i in range(12)])
    return bench.compile()


@entry("The license is a placeholder")
def _(bench: Bench) -> str:
    for kind in ("garden", "roman"):
        folder = bench.folder / "raw/snails" / kind
        folder.mkdir(parents=True)
        for i in range(3):
            (folder / f"{i}.png").write_bytes(_image((40 * i, 90, 30)))
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (
        ["init", "--quiet", "mine"],
        ["-C", "mine", *who, "commit", "-qm", "a", "--allow-empty"],
    ):
        subprocess.run(["git", *arguments], cwd=bench.folder, check=True)
    bench.vflan("new snails animal_snails --root mine --raw raw --yes")
    return bench.vflan("check --since HEAD --root mine")


def _image(color: tuple[int, int, int]) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (32, 32), color).save(sink, "PNG")
    return sink.getvalue()
