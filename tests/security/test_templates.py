"""Templates insert text, and end."""

# ruff: noqa: E501 - an attempt is a line

from __future__ import annotations

import pytest

from tests.security.conftest import Victim

#: What must not happen -> a template that would do it.
ESCAPES = {
    "reach a class": "{{ name.__class__ }}",
    "reach a class by a filter": "{{ name | attr('__class__') }}",
    "reach a class by a key": "{{ name['__class__'] }}",
    "reach a class by a list of keys": "{{ [name] | map(attribute='__class__') | first }}",
    "reach a class by select": "{{ [name] | selectattr('__class__') | list | length }}",
    "reach a class by format": "{{ '{0.__class__}'.format(name) }}",
    "reach a class by the percent sign": "{{ '%s' % name }}",
    "reach the globals of a loop": "{% for x in [1] %}{{ loop.__init__ }}{% endfor %}",
    "reach an environment": "{{ self }}",
    "reach a context": "{{ self._TemplateReference__context }}",
    "call a function": "{{ range(3) }}",
    "call a method": "{{ name.upper() }}",
    "call a cycler": "{% for x in [1] %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "make a namespace": "{% set n = namespace(x=1) %}{{ n.x }}",
    "make a dict": "{{ dict(a=1) }}",
    "write lorem ipsum": "{{ lipsum(100000) }}",
    "include a file": "{% include 'HOME/id_rsa' %}",
    "import a file": "{% import 'HOME/id_rsa' as x %}",
    "import from a file": "{% from 'HOME/id_rsa' import x %}",
    "extend a file": "{% extends 'HOME/id_rsa' %}",
    "define a macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "call a block": "{% call name() %}{% endcall %}",
    "define a block": "{% block x %}{% endblock %}",
    "filter a block": "{% filter upper %}x{% endfilter %}",
    "run statements": "{% do name %}",
    "loop by itself": "{% for x in [[1]] recursive %}{{ loop(x) }}{% endfor %}",
    "read the globals": "{{ config }}",
    "open a file": "{{ open('HOME/id_rsa') }}",
    "import a module": "{{ __import__('os') }}",
    "write an address": "{{ [name] | map('upper') }}",
    "write an address in a filter": "{{ [name] | map('upper') | string }}",
    "write an address by joining": "{{ [[name] | map('upper')] | join }}",
    "write an address of a loop": "{% for x in [name] %}{{ loop }}{% endfor %}",
    "write an address by a tilde": "{{ ([name] | map('upper')) ~ '' }}",
    "write an address of a reversed list": "{{ [name] | reverse }}",
    "write an address of selected items": "{{ [name] | select | title }}",
    "write an address in a list": "{{ [[name] | map('upper')] | first }}",
    "write Python code": "{{ [name] }}",
    "write Python code of a struct": "{{ {'a': name} }}",
    "sum text": "{{ ['a', 'b'] | sum(start='') }}",
    "debug": "{% debug %}",
    "translate": "{{ gettext('x') }}",
}
#: Texts that grow or take long. X is 50 characters.
GROWING = {
    "multiply text": "{{ 'X' * 1000000000 }}",
    "multiply a list": "{{ ([1] * 1000000000) | length }}",
    "raise to a power": "{{ 9 ** 9 ** 9 }}",
    "raise to a power in steps": "{{ (9 ** 999) ** 999 }}",
    "multiply numbers in steps": "{% set a = 999999999999 * 999999999999 %}{% set b = a * a %}{{ b * b }}",
    "double text by tildes": "".join(f"{{% set a{i + 1} = a{i} ~ a{i} %}}" for i in range(60)).join(
        ("{% set a0 = 'X' %}", "{{ a60 }}")
    ),
    "double text by plus": "".join(f"{{% set a{i + 1} = a{i} + a{i} %}}" for i in range(60)).join(
        ("{% set a0 = 'X' %}", "{{ a60 }}")
    ),
    "double text by tildes and drop it": "".join(
        f"{{% set a{i + 1} = a{i} ~ a{i} %}}" for i in range(60)
    ).join(("{% set a0 = 'X' %}", "{{ a60 | length }}")),
    "double a list by plus": "".join(f"{{% set a{i + 1} = a{i} + a{i} %}}" for i in range(60)).join(
        ("{% set a0 = [1, 2] %}", "{{ a60 | length }}")
    ),
    "double text by replace": "".join(
        f"{{% set a{i + 1} = a{i} | replace('x', 'xxxxxxxx') %}}" for i in range(40)
    ).join(("{% set a0 = 'xxx' %}", "{{ a40 | length }}")),
    "replace nothing with much": "{{ 'X' | replace('', 'XXXXXXXXXXXX') | replace('', 'X' ~ name) "
    + "| replace('', 'XXXXXXXXXXXXXXXXXXX')" * 8
    + " }}",
    "double text by join": "".join(
        f"{{% set a{i + 1} = (a{i}, a{i}) | join(a{i}) %}}" for i in range(40)
    ).join(("{% set a0 = 'X' %}", "{{ a40 | length }}")),
    "join joins": "{{ " + "(" * 60 + "'X'" + " ~ 'X') | join('XXXXXXXXX')" * 60 + " }}",
    "round to many digits": "{{ 1.5 | round(900000000) }}",
    "round to many digits before the point": "{{ 1.5 | round(-900000000) }}",
    "round by a method": "{{ 1.5 | round(2, 'HOME') }}",
    "pad a number": "{{ (1 | pad(1000000000)) * 2 }}",
    "indent": "{{ 'X' | indent(1000000000) }}",
    "center": "{{ 'X' | center(1000000000) }}",
    "format": "{{ '%1000000000d' | format(1) }}",
    "format by percent": "{{ '%1000000000d' % 1 }}",
    "wrap words": "{{ 'X' | wordwrap(1) | pprint | xmlattr }}",
    "make batches": "{{ [1] | batch(1000000000, 0) | list | length }}",
    "slice": "{{ [1] | slice(1000000000) | list | length }}",
    "map by map": "{{ [[1]] | map('map', 'map', 'map') | list | length }}",
    "map by a field": "{{ [[1]] | map(name) | list | length }}",
    "select by select": "{{ [[1]] | map('select', 'select') | list | length }}",
    "compare nested lists": "".join(f"{{% set a{i + 1} = [a{i}, a{i}] %}}" for i in range(40)).join(
        ("{% set a0 = [name] %}{% set b = [1] %}", "{{ a40 == a39 }}")
    ),
    "compare nested tuples": "".join(f"{{% set a{i + 1} = (a{i}, a{i}) %}}" for i in range(40)).join(
        ("{% set a0 = (name, 1) %}", "{{ 'x' if a40 == a40 else 'y' }}")
    ),
    "nest lists by a loop": "{% for a in [[name, name]] %}{% for b in [[a, a]] %}{{ b == a }}{% endfor %}{% endfor %}",
    "loop over loops": "{% for a in 'XXXX' %}" * 8 + "x" + "{% endfor %}" * 8,
    "loop over loops without a text": "{% for a in 'XXXX' %}" * 8 + "{% endfor %}" * 8,
    "loop over replaced text": "{% for a in 'X' | replace('', 'XXXXXXXXXXXX') %}"
    + "{% for b in 'X' | replace('', 'XXXXXXX') %}{% endfor %}" * 20
    + "{% endfor %}",
    "write too much": "{% for a in 'XXXX' %}{% for b in 'XXXX' %}{{ 'XXXXXXXXXX' }}{% endfor %}{% endfor %}",
    "nest loops": "{% for a in 'ab' %}" * 25 + "x" + "{% endfor %}" * 25,
    "nest conditions": "{% if name %}" * 110 + "x" + "{% endif %}" * 110,
    "nest brackets": "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    "nest lists": "{{ " + "[" * 500 + "1" + "]" * 500 + " }}",
    "nest filters": "{{ name" + " | upper" * 3000 + " }}",
    "chain tildes": "{{ " + " ~ ".join(["name"] * 3000) + " }}",
    "chain not": "{{ " + "not " * 3000 + "name }}",
    "chain minus": "{{ " + "-" * 5000 + "1 }}",
    "chain keys": "{{ name" + "[0]" * 3000 + " }}",
    "chain conditions": "{{ " + "1 if name else " * 1500 + "2 }}",
    "cut to less than nothing": "{{ 'X' | truncate(-5) }}",
    "cut to a text": "{{ 'X' | truncate('a') }}",
    "divide by zero": "{{ 1 / 0 }}",
    "divide by zero in whole numbers": "{{ 1 // 0 }}",
    "take the rest of zero": "{{ 1 % 0 }}",
    "reach a number's limit": "{{ 1e308 * 10 }}",
    "convert a long number": "{{ ('9' ~ 'XXXXXXXXXXXXXXXXXXXX'.replace('X', '9')) | int }}",
    "sort what has no order": "{{ [1, 'a'] | sort | length }}",
    "find the largest of nothing comparable": "{{ [1, 'a'] | max }}",
    "write a lone surrogate": "{{ '\\ud800' | int('x', 1 // 0) }}",
    "be longer than a template": "x" * 30_000,
    "never close": "{% for a in name %}",
    "never close a tag": "{{ name",
    "have no text": "{{ name | nothing }}",
}


def filled(template: str, victim: Victim) -> str:
    return template.replace("X", "x" * 50).replace("HOME", str(victim.home))


@pytest.mark.parametrize("attempt", ESCAPES)
def test_a_target_cannot(victim: Victim, attempt: str) -> None:
    template = filled(ESCAPES[attempt], victim).replace("'", "''")
    victim.replace("target: \"{{ color | label('colors') }}\"", f"target: '{template}'")
    victim.replace("options: {labels: colors}\n", "")
    victim.replace("form: options", "form: free_text")
    said = victim.refuses()
    assert "task_specs/toy/toy_color.yaml:" in said


@pytest.mark.parametrize("attempt", ESCAPES | GROWING)
def test_an_instruction_cannot(victim: Victim, attempt: str) -> None:
    template = filled((ESCAPES | GROWING)[attempt], victim)
    victim.write_specs(text=f"Which color has {{{{ name }}}}? {template}\n")
    said = victim.refuses()
    assert "instructions/toy_color.j2" in said


@pytest.mark.parametrize("attempt", GROWING)
def test_validate_says_that_an_instruction_cannot(victim: Victim, attempt: str) -> None:
    victim.write_specs(text=filled(GROWING[attempt], victim) + "\n")
    code, said = victim.vflan("validate", "toy_color")
    assert "Traceback" not in said
    assert code in (0, 1, 4)  # what only rendering shows is no finding of the spec alone
    victim.is_unharmed()


@pytest.mark.parametrize("place", ["image", "input", "derive"])
def test_a_template_elsewhere_cannot_grow(victim: Victim, place: str) -> None:
    grown = "{% set a = name ~ name %}" + "{% set a = a ~ a ~ a ~ a %}" * 30 + "{{ a | length }}"
    if place == "image":
        victim.replace("image: images/{{ name }}", f'image: "images/{grown}"')
    elif place == "input":
        victim.replace("form: options", f'form: options\ninput: "{grown}"')
    else:
        victim.replace("form: options", f'form: options\nderive: {{more: {{text: "{grown}"}}}}')
        victim.replace("options: {labels", 'input: "{{ more }}"\noptions: {labels')
    assert "more than" in victim.refuses()
