"""How much of a collection is left in the features of its recordings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_tools.raw.composed.items import Item

FOLDS = 5
MIN_ITEMS = 10
"""Recordings of a class that a collection must have to be compared with another."""


def collection_probe(
    items: Sequence[Item], features: Mapping[str, np.ndarray]
) -> dict[str, dict[str, Any]]:
    """Tells collections apart within a class, and carries class labels from one to another.

    For every class that two collections have: the balanced accuracy of a logistic regression that
    names the collection of a recording from its mean feature (cross-validated by groups; 0.5 if
    nothing is left of it), and the share of each collection's recordings that a classifier of all
    classes of the other collection labels rightly.

    Args:
        items: recordings of all categories, the background's too.
        features: name of an item to its feature `(dim,)`.

    Returns:
        Class to `collection_accuracy`, `chance`, and `COLLECTION -> COLLECTION` to the share.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> items, features = [], {}
        >>> for number in range(80):
        ...     place, kind = divmod(number % 4, 2)
        ...     name = str(number)
        ...     items.append(Item("audio", name, ("cat", "dog")[kind], name, ("A", "B")[place]))
        ...     features[name] = rng.normal(size=2) + (9 * kind, 9 * place)
        >>> found = collection_probe(items, features)["dog"]
        >>> found["collection_accuracy"], found["A -> B"]
        (1.0, 1.0)
    """
    known = [item for item in items if item.name in features]
    result: dict[str, dict[str, Any]] = {}
    for category in sorted({item.category for item in known if item.category}):
        own = [item for item in known if item.category == category]
        counts = {
            name: sum(item.collection == name for item in own)
            for name in sorted({item.collection for item in own})
        }
        places = [name for name, count in counts.items() if count >= MIN_ITEMS]
        if len(places) < 2:
            continue
        own = [item for item in own if item.collection in places]
        result[category] = {
            "recordings": {name: counts[name] for name in places},
            "collection_accuracy": _collection_accuracy(own, features),
            "chance": 1 / len(places),
        }
        for source in places:
            for target in places:
                if source != target:
                    share = _carried(known, own, features, source, target)
                    result[category][f"{source} -> {target}"] = share
    return result


def _classifier() -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    regression = LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced")
    return make_pipeline(StandardScaler(), regression)


def _collection_accuracy(items: Sequence[Item], features: Mapping[str, np.ndarray]) -> float:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    x = np.stack([features[item.name] for item in items])
    y = np.array([item.collection for item in items])
    groups = [item.group for item in items]
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(_classifier(), x, y, groups=groups, cv=folds)
    return float(balanced_accuracy_score(y, predicted))


def _carried(
    items: Sequence[Item],
    own: Sequence[Item],
    features: Mapping[str, np.ndarray],
    source: str,
    target: str,
) -> float | None:
    training = [item for item in items if item.collection == source]
    labels = [_label(item) for item in training]
    if len(set(labels)) < 2:
        return None
    model = _classifier().fit(np.stack([features[item.name] for item in training]), labels)
    tested = [item for item in own if item.collection == target]
    predicted = model.predict(np.stack([features[item.name] for item in tested]))
    return float(np.mean(predicted == np.array([_label(item) for item in tested])))


def _label(item: Item) -> str:
    # Each kind of background, such as rain, is in a folder of its own.
    return item.category or item.name.rsplit("/", 1)[0]
