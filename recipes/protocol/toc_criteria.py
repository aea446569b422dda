"""Criteria by which dimensions of codes are kept, without training: the paper's and others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from keras_cmg.ops.channel_selection import channel_scores, select_channels

RANDOM_DRAWS = 5


def chosen_channels(
    tables: Sequence[np.ndarray],
    counts: np.ndarray,
    paired: Mapping[str, np.ndarray],
    num_channels: int,
    seed: int,
) -> dict[str, list[np.ndarray]]:
    """Returns the dimensions that each criterion keeps.

    "paper" is that of Huang et al. (2025), Eqs. 20-23; "usage" weighs codes by their use in
    training clips; "centred" subtracts the mean code in use first, and weighs by use; "agreement"
    keeps the dimensions in which the mean codes of the modalities of one clip correlate most over
    training clips; "random" draws dimensions. Where groups of channels have codes of their own, the
    codes of each group are weighed by themselves and all dimensions are ranked together.

    Args:
        tables: (codes, channels) float, all codes; of groups of channels, those of each group.
        counts: (codes,) use of each code by training clips, of one table after another.
        paired: modality to (clips, dim) mean codes of the same training clips.
        num_channels: dimensions to keep.
        seed: seed of the random draws.

    Returns:
        Criterion to int arrays (num_channels,): one, or `RANDOM_DRAWS` of "random".

    Example:

    >>> rows = np.random.default_rng(0).normal(size=(5, 4))
    >>> found = chosen_channels([np.eye(4)], np.ones(4), {"audio": rows, "text": rows}, 2, seed=0)
    >>> {name: len(draws) for name, draws in found.items()}
    {'paper': 1, 'usage': 1, 'centred': 1, 'agreement': 1, 'random': 5}
    """
    stops = np.cumsum([len(codes) for codes in tables])
    by_table = list(zip(tables, np.split(counts, stops[:-1]), strict=True))

    def scores(weighted: bool, centred: bool = False) -> np.ndarray:
        found = []
        for codes, uses in by_table:
            centre = uses @ codes / max(uses.sum(), 1) if centred else 0.0
            found.append(channel_scores(codes - centre, uses if weighted else None).importance)
        return np.concatenate(found)

    importance = {
        "paper": scores(weighted=False),
        "usage": scores(weighted=True),
        "centred": scores(weighted=True, centred=True),
        "agreement": agreement(paired),
    }
    found = {name: [select_channels(each, num_channels)] for name, each in importance.items()}
    rng = np.random.default_rng(seed)
    found["random"] = [
        rng.permutation(len(importance["paper"]))[:num_channels] for _ in range(RANDOM_DRAWS)
    ]
    return found


def agreement(paired: Mapping[str, np.ndarray]) -> np.ndarray:
    """Computes how well two modalities of a clip agree in each dimension.

    Args:
        paired: modality to (clips, dim) vectors of the same clips.

    Returns:
        (dim,) correlation over clips, the mean over pairs of modalities; 0 where a dimension never
        varies.

    Example:

    >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    >>> agreement({"audio": x, "text": x[:, [0, 0]]}).round(2).tolist()
    [1.0, 0.0]
    """
    unit = {}
    for name, x in paired.items():
        centred = x - x.mean(axis=0)
        unit[name] = centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-12)
    pairs = [np.sum(unit[a] * unit[b], axis=0) for a, b in combinations(unit, 2)]
    return np.mean(pairs, axis=0)
