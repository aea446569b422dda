"""The scores of a run, as a table for the terminal and as a page that needs nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STYLE = Path(__file__).with_name("report.css")


def score_columns(result: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Columns of the table of scores: what the probes saw, and their accuracies.

    Args:
        result: of a run.

    Returns:
        Heading to pair to accuracy.

    Example:

    >>> score_columns({"scores": {"a->b": 0.5}, "toc": {"64": {"a->b": 0.6}}, "continuous": {}})
    {'codes': {'a->b': 0.5}, 'TOC 64': {'a->b': 0.6}, 'continuous': {}}
    """
    return {
        "codes": result["scores"],
        **{f"TOC {name}": scores for name, scores in result["toc"].items()},
        "continuous": result["continuous"],
    }


def pairs_in_order(scores: Mapping[str, float]) -> list[str]:
    """Pairs of modalities, first from one to another, then within one.

    Args:
        scores: "source->target" to accuracy.

    Returns:
        The keys.

    Example:

    >>> pairs_in_order({"a->a": 1.0, "a->b": 0.5})
    ['a->b', 'a->a']
    """
    return sorted(scores, key=lambda pair: (within(pair), pair))


def within(pair: str) -> bool:
    """Whether a probe is tested on the modality it was trained on.

    Args:
        pair: "source->target".

    Returns:
        True or False.

    Example:

    >>> within("audio->audio")
    True
    """
    source, target = pair.split("->")
    return source == target


def mean_across(scores: Mapping[str, float]) -> float:
    """Mean accuracy over the pairs of two different modalities.

    Args:
        scores: "source->target" to accuracy.

    Returns:
        The mean.

    Example:

    >>> mean_across({"a->a": 1.0, "a->b": 0.5, "b->a": 0.7})
    0.6
    """
    across = [score for pair, score in scores.items() if not within(pair)]
    return sum(across) / len(across)


def score_lines(result: Mapping[str, Any]) -> str:
    """The table of scores as aligned text, in per cent.

    Args:
        result: of a run.

    Returns:
        Lines.

    Example:

    >>> scores = {"a->b": 0.5, "b->b": 1.0}
    >>> print(score_lines({"scores": scores, "toc": {}, "continuous": scores, "chance": 0.1}))
    trained -> tested   codes   continuous   chance
    a->b                 50.0         50.0     10.0
    b->b                100.0        100.0     10.0
    """
    columns = score_columns(result)
    columns["chance"] = dict.fromkeys(result["scores"], result["chance"])
    first = "trained -> tested"
    lines = [first + "".join(f"   {heading:>5}" for heading in columns)]
    for pair in pairs_in_order(result["scores"]):
        cells = (
            f"   {100 * scores[pair]:{max(5, len(heading))}.1f}"
            for heading, scores in columns.items()
        )
        lines.append(pair.ljust(len(first)) + "".join(cells))
    return "\n".join(lines)


def score_table(result: Mapping[str, Any]) -> str:
    """The table of scores as HTML, cells shaded by their value.

    Args:
        result: of a run.

    Returns:
        An HTML table.

    Example:

    >>> scores = {"a->b": 0.5, "b->b": 1.0}
    >>> table = score_table({"scores": scores, "toc": {}, "continuous": scores, "chance": 0.1})
    >>> table.count("<tr"), "50.0" in table
    (5, True)
    """
    columns = score_columns(result)
    heads = "".join(f"<th>{html.escape(heading)}</th>" for heading in columns)
    rows = [f"<thead><tr><th>trained → tested</th>{heads}<th>chance</th></tr></thead><tbody>"]
    titles = {False: "Across modalities", True: "Within one modality: the upper bound"}
    for pair in pairs_in_order(result["scores"]):
        if within(pair) in titles:
            title = titles.pop(within(pair))
            rows.append(f'<tr class="group"><td colspan="{len(columns) + 2}">{title}</td></tr>')
        cells = "".join(
            f'<td class="bar" style="--share:{100 * scores[pair]:.1f}%">'
            f"{100 * scores[pair]:.1f}</td>"
            for scores in columns.values()
        )
        name = html.escape(pair.replace("->", " → "))
        rows.append(f"<tr><td>{name}</td>{cells}<td>{100 * result['chance']:.1f}</td></tr>")
    return f"<table>{''.join(rows)}</tbody></table>"


def example_cards(examples: Sequence[Mapping[str, Any]]) -> str:
    """Clips that share a code, one card per code.

    Args:
        examples: of `recipes.examples.same_code`.

    Returns:
        HTML.

    Example:

    >>> clip = {"category": "bell", "id": "test-1", "text": "a <bell>"}
    >>> "a &lt;bell&gt;" in example_cards([{"code": 3, "clips": {"text": clip}}])
    True
    """
    cards = []
    for example in examples:
        figures = []
        for modality, clip in example["clips"].items():
            about = html.escape(f"{modality} of {clip['id']}, class {clip['category']}")
            content = ""
            if "picture" in clip:
                content += f'<img src="{clip["picture"]}" alt="{about}">'
            if "sound" in clip:
                content += f'<audio controls preload="none" src="{clip["sound"]}"></audio>'
            if "text" in clip:
                content += f"<blockquote>“{html.escape(clip['text'])}”</blockquote>"
            figures.append(f"<figure><figcaption>{about}</figcaption>{content}</figure>")
        cards.append(f'<div class="code"><h3>Code {example["code"]}</h3>{"".join(figures)}</div>')
    return "".join(cards)


def section(title: str, *content: str) -> str:
    """A section of the page.

    Args:
        title: plain text.
        content: HTML.

    Returns:
        HTML.

    Example:

    >>> section("Codes & use", "<p>all</p>")
    '<section><h2>Codes &amp; use</h2><p>all</p></section>'
    """
    return f"<section><h2>{html.escape(title)}</h2>{''.join(content)}</section>"


def facts(values: Mapping[str, str]) -> str:
    """A row of figures with what they say.

    Args:
        values: text below to figure.

    Returns:
        HTML.

    Example:

    >>> facts({"clips": "12"})
    '<div class="facts"><div><b>12</b><span>clips</span></div></div>'
    """
    boxes = "".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(text)}</span></div>"
        for text, value in values.items()
    )
    return f'<div class="facts">{boxes}</div>'


def details(title: str, value: Any) -> str:
    """A value as JSON that unfolds on demand.

    Args:
        title: plain text.
        value: what JSON can hold.

    Returns:
        HTML.

    Example:

    >>> "summary" in details("versions", {"keras": "3"})
    True
    """
    text = html.escape(json.dumps(value, indent=2))
    return f"<details><summary>{html.escape(title)}</summary><pre>{text}</pre></details>"


def page(title: str, subtitle: str, *content: str) -> str:
    """A whole page that loads nothing from elsewhere.

    Args:
        title: plain text.
        subtitle: plain text.
        content: HTML.

    Returns:
        HTML.

    Example:

    >>> page("Report", "of a run", section("Scores")).count("<section>")
    1
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"</head><body><main><h1>{html.escape(title)}</h1>"
        f'<p class="soft">{html.escape(subtitle)}</p>{"".join(content)}</main></body></html>\n'
    )
