"""A task of a source in one of the forms: records, options, target and instruction."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vision_flan.errors import SpecError
from vision_flan.propose.images import fields_of, safe_name
from vision_flan.propose.records import record_keys
from vision_flan.propose.source import Source, sql_name, sql_text, turn_fields
from vision_flan.review.instruction_rules import CLOSINGS
from vision_flan.review.task_rules import looks_raw

#: Options that are shown at most: a letter each. With more values, this many are drawn.
_LETTERS, _DRAWN = 26, 4
#: Words of a short phrase.
_SHORT = 4
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
#: A number or a WordNet id in front of a name.
_NUMBER_IN_FRONT = re.compile(r"^(?:n\d{8}|\d+)[._ -]+(?=[^\W\d])")
_YES = {"yes": "yes", "true": "yes", "1": "yes", "y": "yes", "no": "no", "false": "no", "0": "no", "n": "no"}
#: Columns whose name says nothing about what the values are.
_NO_NOUN = frozenset(("label", "class", "target", "category", "_value", "name", "type", "column2", "answer"))


@dataclass
class Draft:
    """A task as it will be written.

    Attributes:
        task: keys of the task's YAML after `dataset`, in order.
        labels, views: what dataset.yaml declares for it.
        notes: what a person should look at.
    """

    form: str
    instruction: str
    task: dict[str, object] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    views: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def forms_of(source: Source) -> list[str]:
    """The forms that a source can be asked in; the first is the usual one."""
    found = []
    if source.turns or (source.question and source.answer):
        found += ["phrase", "free_text"] if _are_short(source) else ["free_text", "phrase"]
    if source.caption:
        found.append("sentence")
    if source.label and source.values:
        numbers = all(isinstance(value, int) and not isinstance(value, bool) for value in source.values)
        truth = {str(value).lower() for value in source.values} <= _YES.keys()
        few = 1 < len(source.values) <= _LETTERS
        if truth and not source.has_objects:
            found.append("yes_no")
        found += ["options", "label"] if few else ["label", "options"]
        if source.has_objects:
            found += ["number", "list"] if source.are_objects else ["list"]
        elif numbers and not source.names:
            found.append("number")
        found += ["yes_no"] if "yes_no" not in found else []
    return list(dict.fromkeys(found))


def draft(source: Source, form: str = "") -> Draft:
    """A task of this source.

    Args:
        form: empty for the usual one.

    Raises:
        SpecError: the source has nothing to ask in this form.
    """
    fitting = forms_of(source)
    if not fitting:
        columns = ", ".join([*(name for name, _ in source.table.plain()), *source.table.nested])
        raise SpecError(
            f"no column of {source.table.name!r} looks like an answer",
            hint=f"name it: --label, --caption, or --question and --answer; columns: {columns}",
        )
    form = form or fitting[0]
    if form not in fitting:
        raise SpecError(
            f"nothing here can be asked in the form {form!r}",
            hint=f"forms that fit: {', '.join(fitting)}; the columns for others: --label, --caption, ...",
        )
    made = _MAKERS[form](source)
    if source.view:
        made.views = {source.view: source.sql}
    return made


# --- labels


def shown_name(value: object) -> str:
    """A raw value as an everyday name: `003.golden_Retriever` becomes `golden retriever`."""
    text = _NUMBER_IN_FRONT.sub("", str(value).strip())
    text = " ".join(_CAMEL.sub(" ", text.replace("_", " ").replace("-", " ")).split())
    words = [word if word.isupper() and len(word) < 5 else word.lower() for word in text.split()]
    return " ".join(words) or str(value)


def _classes(source: Source) -> tuple[dict[str, str], list[str]]:
    """The label table, and what a person should look at in it."""
    named = {str(value): source.names.get(str(value), value) for value in source.values}
    short = {raw: str(name).partition(",")[0] if looks_raw(raw) else name for raw, name in named.items()}
    classes = {raw: shown_name(name) for raw, name in short.items()}
    if len(set(classes.values())) < len(classes):
        classes = {raw: shown_name(name) for raw, name in named.items()}
    if len(set(classes.values())) < len(classes):
        classes = {raw: raw for raw in classes}
    numbers = all(name.lstrip("-").isdecimal() for name in classes.values())
    if numbers:
        classes = {raw: f"class {raw}" for raw in classes}
        return classes, ["the labels are numbers: write their names into `labels: classes:`"]
    odd = [name for name in classes.values() if looks_raw(name)]
    notes = [f"the names of the labels are those of {source.named_by}"] if source.named_by else []
    if odd:
        notes.append(f"labels that look like ids: {', '.join(odd[:5])}; write their names")
    return classes, notes


def _noun(source: Source) -> str:
    name = source.table.name if source.label == "_value" else source.label
    plain = safe_name(name).lower()
    return "" if plain in _NO_NOUN or source.has_objects or source.view else plain.replace("_", " ")


def _single(source: Source) -> tuple[dict[str, object], str]:
    """Records with one label each, and its field. Of objects: images whose objects are of one class."""
    if not source.has_objects:
        return record_keys(source), safe_name(source.label)
    fields = _group_fields(source)
    sql = (
        f"SELECT {fields}, min(label) AS label\nFROM {source.name}{_where(source)}\n"
        f"GROUP BY {fields}\nHAVING count(DISTINCT label) = 1\n"
    )
    return record_keys(source, sql=sql), "label"


def _left_out(source: Source) -> list[str]:
    if not source.has_objects:
        return []
    others = "list, number or yes_no" if source.are_objects else "list or yes_no"
    return [f"images that show several kinds are left out; --form {others} takes them too"]


def _where(source: Source) -> str:
    return f"\nWHERE {sql_name(source.split)} = {sql_text(source.split_value)}" if source.split else ""


def _group_fields(source: Source) -> str:
    return ", ".join(map(sql_name, fields_of(source.image)))


def _options(source: Source) -> Draft:
    keys, label = _single(source)
    classes, notes = _classes(source)
    notes += _left_out(source)
    pool: dict[str, object] = {"labels": "classes"}
    if len(classes) > _LETTERS:
        pool["count"] = _DRAWN
    noun = _noun(source)
    asked = f"Which {noun} does this image show?" if noun else "Which option names what this image shows?"
    keys |= {"options": pool, "target": f"{{{{ {label} | label('classes') }}}}"}
    return Draft("options", f"{asked} {CLOSINGS['options']}", keys, {"classes": classes}, notes=notes)


def _label(source: Source) -> Draft:
    keys, label = _single(source)
    classes, notes = _classes(source)
    notes += _left_out(source)
    noun = _noun(source)
    asked = f"Name the {noun} that this image shows." if noun else "Name what this image shows."
    keys["target"] = f"{{{{ {label} | label('classes') }}}}"
    return Draft("label", f"{asked} {CLOSINGS['label']}", keys, {"classes": classes}, notes=notes)


def _yes_no(source: Source) -> Draft:
    if {str(value).lower() for value in source.values} <= _YES.keys() and not source.has_objects:
        answers = {str(value): _YES[str(value).lower()] for value in source.values}
        noun = _noun(source) or "what the label says"
        keys = record_keys(source)
        keys["target"] = f"{{{{ {safe_name(source.label)} | string | label('answers') }}}}"
        return Draft(
            "yes_no", f"Does this image show {noun}? {CLOSINGS['yes_no']}", keys, {"answers": answers}
        )
    classes, notes = _classes(source)
    if source.has_objects:
        fields = _group_fields(source)
        here = "list(DISTINCT label ORDER BY label)"
        sql = (
            f"SELECT {fields}, {here} AS present,\n"
            f"  list_filter((SELECT list(key ORDER BY key) FROM label_classes), lambda x: "
            f"list_position({here}, x) IS NULL) AS absent\n"
            f"FROM {source.name}{_where(source)}\nGROUP BY {fields}\n"
        )
        keys = record_keys(source, sql=sql)
        derive: dict[str, object] = {
            "answer": {"choice": ["yes", "no"]}, "one": {"pick": "present"}, "missing": {"pick": "absent"},
            "asked": {"text": "{{ (one if answer == 'yes' else missing) | label('classes') }}"},
        }  # fmt: skip
    else:
        keys, label = _single(source)
        derive = {
            "answer": {"choice": ["yes", "no"]}, "foreign": {"other": label, "differ_in": label},
            "asked": {"text": f"{{{{ ({label} if answer == 'yes' else foreign) | label('classes') }}}}"},
        }  # fmt: skip
    keys |= {"derive": derive, "target": "answer"}
    asked = "Does this image show {{ asked | article }}?"
    return Draft("yes_no", f"{asked} {CLOSINGS['yes_no']}", keys, {"classes": classes}, notes=notes)


def _number(source: Source) -> Draft:
    if not source.has_objects:
        keys = record_keys(source)
        keys["target"] = safe_name(source.label)
        asked = (
            f"Which number is the {_noun(source)} of this image?"
            if _noun(source)
            else "Which number is shown?"
        )
        return Draft("number", f"{asked} {CLOSINGS['number']}", keys)
    classes, notes = _classes(source)
    fields = _group_fields(source)
    sql = (
        f"SELECT {fields}, label, count(*) AS objects\nFROM {source.name}{_where(source)}\n"
        f"GROUP BY {fields}, label\n"
    )
    keys = record_keys(source, sql=sql)
    keys["key"] = f"{source.key} || '#' || label"
    keys["target"] = "objects"
    asked = "How many objects of this kind does the image show: {{ label | label('classes') }}?"
    return Draft("number", f"{asked} {CLOSINGS['number']}", keys, {"classes": classes}, notes=notes)


def _list(source: Source) -> Draft:
    classes, notes = _classes(source)
    fields = _group_fields(source)
    sql = (
        f"SELECT {fields}, list(DISTINCT value ORDER BY value) AS names\n"
        f"FROM {source.name} JOIN label_classes ON key = label{_where(source)}\nGROUP BY {fields}\n"
    )
    keys = record_keys(source, sql=sql)
    keys["target"] = "{{ names | join('; ') }}"
    asked = "Name the kinds of objects in this image in alphabetical order."
    return Draft("list", f"{asked} {CLOSINGS['list']}", keys, {"classes": classes}, notes=notes)


# --- texts


def _first_of(source: Source, name: str) -> str:
    """A text field, or the first text of a list of them."""
    kind = source.table.nested.get(name, "")
    field_ = next((one for one in ("answer", "text", "value") if f"{one} VARCHAR" in kind), "")
    if kind.startswith("STRUCT(") and field_:
        return (
            f"({safe_name(name)} | first).{field_}" if kind.endswith("[]") else f"{safe_name(name)}.{field_}"
        )
    return f"{safe_name(name)} | first" if kind.endswith("[]") else safe_name(name)


def _sentence(source: Source) -> Draft:
    keys = record_keys(source)
    keys["target"] = f"{{{{ {_first_of(source, source.caption)} | squeeze }}}}"
    return Draft("sentence", f"Describe this image. {CLOSINGS['sentence']}", keys)


def _are_short(source: Source) -> bool:
    """Whether most answers are a word or a short phrase."""
    answers = []
    for row in source.table.rows:
        value = row.get(source.turns or source.answer)
        last = value[-1] if isinstance(value, list) and value else value
        if isinstance(last, dict):
            said = turn_fields(source.table.nested.get(source.turns, ""))
            last = last.get(said[1]) if said else " ".join(map(str, last.values()))
        answers.append(len(str(last).split()))
    return sorted(answers)[len(answers) // 2] <= _SHORT if answers else True


def _phrase(source: Source) -> Draft:
    made = _free_text(source)
    made.form = "phrase"
    made.instruction = f"{made.instruction} {CLOSINGS['phrase']}".strip()
    if not source.turns:  # a record's own question comes first, and the format below it
        made.instruction = CLOSINGS["phrase"]
        made.task["first"] = "input"
    return made


def _free_text(source: Source) -> Draft:
    keys = record_keys(source)
    numbered = "the numbered images" if source.images else "the image"
    if source.turns:
        keys |= _dialogue(source)
        return Draft("free_text", f"Answer the last message of this dialogue about {numbered}.", keys)
    keys["input"] = f"{{{{ {safe_name(source.question)} | squeeze }}}}"
    keys["target"] = f"{{{{ {_first_of(source, source.answer)} | string | squeeze }}}}"
    return Draft("free_text", f"Answer the question about {numbered}.", keys)


def _dialogue(source: Source) -> Mapping[str, object]:
    """All turns but the last answer as the input, and that answer as the target."""
    name = safe_name(source.turns)
    first, second = turn_fields(source.table.nested[source.turns])
    text = "| replace('<image>', '') | squeeze }}"
    if first in ("from", "role", "speaker", "author"):
        lines = f'{{{{ turn["{first}"] | capital }}}}: {{{{ turn["{second}"] {text}'
        shown = (
            f"{{% for turn in {name} %}}\n{{% if not loop.last %}}\n{lines}\n{{% endif %}}\n{{% endfor %}}\n"
        )
        return {"input": shown, "target": f'{{{{ ({name} | last)["{second}"] {text}'}
    asked = f'Question: {{{{ turn["{first}"] {text}\n'
    lines = f'{asked}{{% if not loop.last %}}\nAnswer: {{{{ turn["{second}"] {text}\n'
    shown = f"{{% for turn in {name} %}}\n{lines}{{% endif %}}\n{{% endfor %}}\n"
    return {"input": shown, "target": f'{{{{ ({name} | last)["{second}"] {text}'}


_MAKERS: Mapping[str, Callable[[Source], Draft]] = {
    "options": _options,
    "label": _label,
    "yes_no": _yes_no,
    "number": _number,
    "list": _list,
    "sentence": _sentence,
    "phrase": _phrase,
    "free_text": _free_text,
}
