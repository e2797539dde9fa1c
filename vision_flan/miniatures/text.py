"""Words and sentences for annotations: small vocabularies, so that repeats and near-duplicates occur."""

from __future__ import annotations

from random import Random


def listed(words: str, separator: str | None = None) -> tuple[str, ...]:
    """A vocabulary from one string: words between spaces, or between separators."""
    return tuple(words.split(separator))


SIGNS = listed(
    "OPEN CLOSED EXIT ENTER STOP PUSH PULL Market Street Coffee Bakery Hotel BANK Museum Library "
    "Station Pharmacy SALE Books Fresh Daily Since 1987 24h Menu Pizza Tea Juice Milk Bread Cheese "
    "Apple Lemon the of and for to in on by with from at No. 7 12 365 100% $5 $3.99 5,000 A-1 B&B R2D2 "
    "Dr. St. Ave. North South East West Bridge River Harbor Island Garden Central Royal GRAND Little "
    "Old New First Second Third Floor Level Gate Platform Track Ticket Tickets Please Thank You Welcome "
    "WARNING Danger Caution Wet Paint Keep Left Right Slow Zone School Police FIRE Taxi Bus Train "
    "Airport Parking Private Public Est. Co. Ltd. Inc. Brothers & Sons' Quality Service Repair Shop "
    "Store Studio Theatre Cinema Radio Music Sports Club Team United Athletic 2019 1st 2nd 3rd Café "
    "Müller Ångström Señor Crème Über No1 e-mail www.example.org # @home (Free) [Wi-Fi] 'Best' Don't "
    "It's 9:30 7/11 50% +49 -20°C km/h"
)

COLORS = ("red", "green", "blue", "yellow", "brown", "gray", "purple", "orange", "white", "black")
_ANIMATE = listed("man woman boy girl dog cat bird horse cow sheep child skier surfer chef player couple")
_ACTS = listed(
    "is standing near;is sitting on;is looking at;is walking past;is running towards;is playing with;"
    "is holding;is jumping over;is carrying;is resting beside",
    ";",
)
THINGS = listed(
    "bench table chair fence tree bus car train boat kite ball umbrella skateboard laptop pizza sandwich "
    "bicycle clock suitcase vase wall sign frisbee snowboard bottle cup plate blanket statue fountain"
)
_PLACES = listed(
    "in a park;on the beach;in a kitchen;on a street;at a station;in the snow;by a river;in a field;"
    "in a living room;under a bridge;at night;on a sunny day",
    ";",
)


def article(noun: str) -> str:
    """The noun with "a" or "an" before it."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith(("s", "ch", "sh", "x")) else f"{noun}s"


def subject(rng: Random) -> str:
    return f"{rng.choice(COLORS)} {rng.choice(THINGS)}"


def clause(rng: Random) -> str:
    """Lower case, no period: "a boy is holding a red kite on the beach"."""
    return (
        f"{article(rng.choice(_ANIMATE))} {rng.choice(_ACTS)} {article(subject(rng))} {rng.choice(_PLACES)}"
    )


def sentence(rng: Random) -> str:
    text = clause(rng)
    return f"{text[0].upper()}{text[1:]}."


def closed(text: str) -> str:
    """The text, with a period added if it has none."""
    return text if text.endswith(".") else f"{text}."


def paragraph(rng: Random, sentences: int) -> str:
    return " ".join(sentence(rng) for _ in range(sentences))


def question_answer(rng: Random) -> tuple[str, str]:
    """A question about an image (with its question mark) and a short answer."""
    thing = rng.choice(THINGS)
    kind = rng.randrange(5)
    if kind == 0:
        return f"What color is the {thing}?", rng.choice(COLORS)
    if kind == 1:
        return f"How many {plural(thing)} are there?", str(rng.randrange(10))
    if kind == 2:
        return f"Is there {article(subject(rng))}?", rng.choice(("yes", "no"))
    if kind == 3:
        return f"What is next to the {thing}?", rng.choice([other for other in THINGS if other != thing])
    return f"Who is near the {thing}?", rng.choice(_ANIMATE)


def sign_word(rng: Random) -> str:
    """A word as on a sign: case, digits, punctuation, sometimes an accent."""
    return rng.choice(SIGNS)
