"""Words that name a class in a caption, and captions without them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

KIN = {
    "dog": "dog dogs doggy puppy puppies pup pups hound hounds canine canines",
    "cat": "cat cats kitten kittens kitty kitties feline felines",
    "bird": "bird birds birdsong goose geese duck ducks duckling ducklings pigeon pigeons crow "
    "crows owl owls parrot parrots rooster roosters hen hens chicken chickens chick chicks seagull "
    "seagulls gull gulls turkey turkeys dove doves cuckoo sparrow sparrows fowl",
    "frog": "frog frogs bullfrog bullfrogs toad toads",
    "cow": "cow cows cattle bull bulls calf calves ox oxen",
    "lion": "lion lions lioness lionesses",
    "monkey": "monkey monkeys chimp chimps chimpanzee chimpanzees ape apes gorilla gorillas",
    "baby": "baby babies infant infants newborn newborns toddler toddlers",
    "clock": "clock clocks",
    "sea": "sea seas ocean oceans wave waves surf seashore shore beach",
}
"""Class to the words that name it or its kin."""
MASK = "_"
"""Stands for a word that is left out; it is no word, so extractors skip it."""

_WORD = re.compile(r"[a-z0-9]+", re.IGNORECASE)


def naming_words(category: str) -> frozenset[str]:
    """Words that name a class, lower case.

    Args:
        category: the class; one that is not in `KIN` is named by its own words and their plurals.

    Returns:
        The words.

    Example:
        >>> sorted(naming_words("steam_train"))
        ['steam', 'steams', 'train', 'trains']
    """
    if category in KIN:
        return frozenset(KIN[category].split())
    own = [word.lower() for word in _WORD.findall(category.replace("_", " "))]
    return frozenset(own + [f"{word}s" for word in own])


def named_classes(caption: str, categories: Iterable[str]) -> list[str]:
    """Classes that a caption names.

    Args:
        caption: the sentence.
        categories: the classes to look for.

    Returns:
        Those that it names.

    Example:
        >>> named_classes("A puppy barks at the geese", ("dog", "cat", "bird"))
        ['dog', 'bird']
    """
    found = {word.lower() for word in _WORD.findall(caption)}
    return [category for category in categories if naming_words(category) & found]


def mask_names(caption: str, categories: Collection[str]) -> str:
    """A caption with every word left out that names a class or its kin.

    Args:
        caption: the sentence.
        categories: the classes, all of whose words are left out.

    Returns:
        The sentence, a `MASK` for each such word.

    Example:
        >>> mask_names("Dogs bark, then a dog's owner calls", ["dog"])
        '_ bark, then a _ owner calls'
    """
    banned = frozenset[str]().union(*(naming_words(category) for category in categories))
    pattern = re.compile(r"[a-z0-9]+(?:'[a-z]+)?", re.IGNORECASE)

    def replaced(match: re.Match[str]) -> str:
        return MASK if match[0].lower().split("'")[0] in banned else match[0]

    return pattern.sub(replaced, caption)
