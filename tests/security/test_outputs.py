"""What we print and write for others to open runs nothing: shells, runners, terminals, BibTeX, YAML."""

from __future__ import annotations

import io
import json
import shlex
from pathlib import Path

import pytest
import yaml

from tests.hub_server.compiled import source
from vision_flan.cli.output import one_line
from vision_flan.dataset.card import render_published_card
from vision_flan.dataset.citations import bibtex
from vision_flan.dataset.croissant import croissant
from vision_flan.dataset.licenses import citations_bib, licenses_md
from vision_flan.dataset.manifest import Manifest
from vision_flan.dataset.publication import WHOLE, Publication, PublishedTask
from vision_flan.dataset.shards import ShardFacts
from vision_flan.errors import VflanError, plain, to_type
from vision_flan.evaluate.files import answers_jsonl
from vision_flan.hub.progress import Progress
from vision_flan.spec.findings import Finding, as_annotations
from vision_flan.spec.markdown import fenced

SHELL = ["a; rm -rf ~", "$(id)", "`id`", "a b", "a'b", 'a"b', "-rf", "a\nb", "~", "*", "a && b", "a|b", ">x"]


@pytest.mark.parametrize("name", SHELL)
def test_a_command_to_type_has_each_name_as_one_word(name: str) -> None:
    assert shlex.split(to_type("vflan", "verify", Path(name))) == ["vflan", "verify", str(Path(name))]


def test_the_next_step_of_answers_is_no_command_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"benchmark": "pope; rm -rf ~", "id": 1, "prediction": "x"}) + "\n")
    with pytest.raises(VflanError) as caught:
        answers_jsonl(path, "mme")
    assert shlex.split(caught.value.hint) == ["vflan", "score", "pope; rm -rf ~", str(path)]


COMMANDS = [
    "::add-mask::x",
    "a title\n::set-output name=x::y",
    "a title\n  ::stop-commands::x",
    "\t::error file=x::y",
    "##[error]x",
    "text ##[add-mask]x",
    "::\u200e::x",
]


@pytest.mark.parametrize("text", COMMANDS)
def test_the_runner_of_github_takes_no_text_for_a_command(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for line in plain(text).splitlines():
        assert not line.lstrip().startswith("::") and "##[" not in line
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::" in plain(text) or "##[" in plain(text), "elsewhere it is shown as it is"


def test_a_finding_is_one_command_whatever_its_file_is_called() -> None:
    name = "a.yaml,line=1::x\n::add-mask::y%0A"
    text = as_annotations([Finding(name, 7, 1, "rule", "message\n::x::", "hint")])
    assert text.count("\n") == 0 and text.startswith("::error file=") and text.count("::") == 4
    assert text.split(",line=")[1].startswith("7,"), "the line is ours"


ESCAPES = ["\x1b]0;owned\x07", "\x9b2J", "\u202etxt.exe", "\ud800", "\x1b]8;;https://evil.example\x07x"]


@pytest.mark.parametrize("text", ESCAPES)
def test_a_publish_says_nothing_that_steers_a_terminal(text: str) -> None:
    out = io.StringIO()
    Progress(out=out).say(text)
    assert out.getvalue().isascii() and all(c.isprintable() for c in out.getvalue().strip())
    assert one_line(text + "\n\t").isprintable()


# ---- documents about sources whose texts are anybody's


def task(**facts: object) -> dict[str, PublishedTask]:
    shards = (ShardFacts("ocr_one/train-0.parquet", 1, 1, "0" * 64),)
    manifest = Manifest(
        task="ocr_one", title=str(facts.pop("task_title", "A title")), alias=None, dataset="toys",
        category=str(facts.pop("category", "OCR")), suites=(), split="train", form="text",
        spec_sha256="0" * 64, versions={"pyarrow": "1"}, seed=0, limit=None, image_check="header",
        raw_files=(), counts={"candidates": 1, "written": 1, "dropped": {}}, shards=shards, num_bytes=1,
        source={**source("toys"), **facts},
    )  # fmt: skip
    return {"ocr_one": PublishedTask(manifest, Publication(WHOLE, "yes", "", shards))}


CITATIONS = {
    "a command of TeX": "\\input{/etc/passwd}",
    "a command in an entry": "@misc{a, title = {\\write18{id}}}",
    "another command in an entry": "@misc{a, title = {\\input|id}}",
    "an entry that never ends": "@misc{a, title = {x}",
    "an entry that ends early": "@misc{a}} @misc{b, title = {x}}",
    "a preamble": '@preamble{"\\immediate\\write18{id}"}',
    "a preamble behind an entry": '@misc{a, title={x}}\n@preamble{"x"}',
    "a string": "@string{a = {x}}",
    "an entry without a key": "@misc{ , title = {x}}",
    "a title that ends its field": "}, note = {x",
    "half a text": "x}",
    "text behind an entry": "@misc{a, title={x}}\n\\end{document}",
}


@pytest.mark.parametrize("attempt", CITATIONS)
def test_citations_run_nothing_and_stay_whole(attempt: str) -> None:
    text = citations_bib(
        task(citation=CITATIONS[attempt], title="A } \\input{x} title", homepage="https://x/}")
    )
    assert not any(command in text for command in ("\\input", "\\write", "\\end"))
    depth, outside = 0, ""
    for char in text:
        depth += (char == "{") - (char == "}")
        assert depth >= 0
        outside += char if not depth else ""
    assert depth == 0
    assert "@preamble" not in outside and "@string" not in outside


def test_a_citation_that_is_one_is_kept_to_the_letter() -> None:
    entry = '@article{a-b:c, title = {{\\"U}ber $x$ \\& \\emph{y}}, url = {https://x/~a_b}, year = 2024}'
    assert bibtex("toys", {"citation": entry, "title": "t", "homepage": "h"}) == entry


TEXTS = ["---\nlicense: mit\n---", "a: b # c", "x\n# Injected", "x` <script>alert(1)</script>", "| a |"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_card_and_its_front_matter_hold_texts_as_texts(text: str) -> None:
    tasks = task(title=text, task_title=text, category=text, languages=["en", text])
    card = render_published_card(tasks, "ORG/x", gated=False, kept={})
    front, body = card.split("\n---\n", 1)
    assert text in yaml.safe_load(front.removeprefix("---\n"))["language"]
    assert yaml.safe_load(front.removeprefix("---\n"))["license"] == "other"
    for shown in (body, licenses_md(tasks)):
        assert "<script>" not in shown
        assert not any(line.startswith("# Injected") for line in shown.splitlines())


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", '"}, {"x": "', "\u2028\n"])
def test_croissant_is_one_json_document_and_ends_no_script(text: str) -> None:
    written = json.dumps(croissant(task(title=text, task_title=text, citation=text), "ORG/x"))
    assert json.loads(written)["@type"]


@pytest.mark.parametrize("text", ["```", "````\nx\n````", "`" * 50, "x\n~~~"])
def test_a_block_of_code_ends_where_it_ends(text: str) -> None:
    lines = fenced(text, "yaml").splitlines()
    fence = lines[-1]
    assert lines[0] == f"{fence}yaml" and fence not in "\n".join(lines[1:-1])
