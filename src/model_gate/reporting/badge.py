"""Draws the verdict of a run as a badge, in SVG and as data for the endpoint of shields.io."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from model_gate.domain.gates import RunTotals
from model_gate.domain.wording import printable, truncate_middle
from model_gate.reporting.report import Json

LABEL = "models"
_MAX_TEXT = 60
_HEIGHT = 20
_PADDING = 6
# Each pair of colours has a contrast of at least 4.5 with white text.
_COLOURS = {"passed": "#2d7d32", "failed": "#c62828", "error": "#b3261e", "nothing": "#5f6368"}
_NAMES = {"passed": "success", "failed": "critical", "error": "critical", "nothing": "inactive"}
# Widths of the characters of Verdana at 11 pixels, rounded up; a character that is not here has the widest.
_WIDTHS = {
    3: "Iijl|!.,:;' ",
    4: "f()[]-/t",
    5: "rJ",
    6: 'csz"',
    7: "abdeghknopquvxyL0123456789",
    8: "ABCEFKPRSTUVXYZ_+=<>~",
}
_WIDEST = 11


def badge_message(totals: RunTotals) -> str:
    """Return the verdict of a run in a few words.

    >>> badge_message(RunTotals(equal=10, equivalent=2)), badge_message(RunTotals(equal=10, different=2))
    ('10 equal, 2 equivalent', '2 differ')
    """
    if totals.error is not None:
        return "error"
    if totals.errors:
        return f"{totals.errors:,} error{'' if totals.errors == 1 else 's'}"
    if totals.different:
        return f"{totals.different:,} differ{'s' if totals.different == 1 else ''}"
    counts = ((totals.equal, "equal"), (totals.equivalent, "equivalent"), (totals.nothing_compared, "compared nothing"))
    return ", ".join(f"{count:,} {word}" for count, word in counts if count) or "nothing to decide"


def badge_svg(totals: RunTotals, label: str = LABEL) -> str:
    """Return the badge of a run as SVG, which needs no font and no other file."""
    left, right = _shown(label), _shown(badge_message(totals))
    left_width, right_width = _width(left), _width(right)
    width = left_width + right_width
    title = f"{left}: {right}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_HEIGHT}" role="img"'
        f" aria-label={quoteattr(title)}>\n"
        f"<title>{escape(title)}</title>\n"
        f'<clipPath id="round"><rect width="{width}" height="{_HEIGHT}" rx="3"/></clipPath>\n'
        '<g clip-path="url(#round)">\n'
        f'<rect width="{left_width}" height="{_HEIGHT}" fill="#444c56"/>\n'
        f'<rect x="{left_width}" width="{right_width}" height="{_HEIGHT}" fill="{_COLOURS[_state(totals)]}"/>\n'
        "</g>\n"
        '<g fill="#ffffff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">\n'
        f"{_text(left, left_width / 2, left_width)}\n"
        f"{_text(right, left_width + right_width / 2, right_width)}\n"
        "</g>\n</svg>\n"
    )


def badge_endpoint(totals: RunTotals, label: str = LABEL) -> Json:
    """Return the badge of a run as the JSON that the endpoint badge of shields.io reads."""
    state = _state(totals)
    endpoint: Json = {
        "schemaVersion": 1,
        "label": _shown(label),
        "message": _shown(badge_message(totals)),
        "color": _NAMES[state],
    }
    # Shields shows such a badge in the colour of an error, whatever a page wants.
    return endpoint | ({"isError": True} if state == "error" else {})


def _state(totals: RunTotals) -> str:
    if totals.error is not None or totals.errors:
        return "error"
    if totals.different:
        return "failed"
    return "passed" if totals.gates else "nothing"


def _shown(text: str) -> str:
    return truncate_middle(printable(text), _MAX_TEXT)


def _width(text: str) -> int:
    return sum(next((width for width, chars in _WIDTHS.items() if char in chars), _WIDEST) for char in text) + (
        2 * _PADDING
    )


def _text(text: str, middle: float, width: int) -> str:
    # With a fixed length, the text fits into its part in every font.
    return f'<text x="{middle:g}" y="14" textLength="{width - 2 * _PADDING}">{escape(text)}</text>'
