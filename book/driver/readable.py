"""A chapter's prose for viewers that know plain Markdown only, as Colab does: roles become words, boxes quotations.

The site shows more. What is lost here are links within the book, numbers of figures and the list of references; the
published notebook therefore has a link to its page.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

_ROLE = re.compile(r"\{([a-z:]+)\}`([^`]*)`")
_NAMED = re.compile(r"(.*?)\s*<[^<>]*>$", re.DOTALL)
_LINK = re.compile(r"\[([^\]]*)\]\(#([\w-]+)\)")
_LABEL = re.compile(r"^\([\w-]+\)=\n", re.MULTILINE)
_FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<kind>[\w:-]+)\}[ \t]*(?P<title>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_OPTION = re.compile(r":([\w-]+):(?: (.*))?$")
_NAMES = {"exercise": "Exercise", "prf:proof": "Proof", "prf:theorem": "Theorem", "note": "Note", "warning": "Warning"}


class Known(NamedTuple):
    """What the words of a page refer to.

    Attributes
    ----------
    value
        Gives the text of ``glue:text``, ``published`` and ``recorded``, called with the role and what it holds.
    titles
        The title of each chapter by its label.
    site
        The address under which the repository's files are shown, without a slash at the end.
    """

    value: Callable[[str, str], str]
    titles: Mapping[str, str]
    site: str


def plain(text: str, known: Known) -> str:
    """Return MyST Markdown as plain Markdown; code and formulas stay as they are."""
    text = _FENCE.sub(lambda match: _box(match, known), _LABEL.sub("", text))
    text = _LINK.sub(lambda match: match[1] or _quoted(known.titles.get(match[2], match[2])), text)
    return _ROLE.sub(lambda match: _word(match[1], match[2], known), text)


def _box(match: re.Match[str], known: Known) -> str:
    kind, title, body = match["kind"], match["title"].strip(), match["body"]
    lines, options = body.splitlines(), {}
    while lines and (option := _OPTION.match(lines[0])):
        options[option[1]] = (option[2] or "").strip()
        del lines[0]
    body = "\n".join(lines).strip()
    if kind == "bibliography":
        return ""
    if kind == "literalinclude":
        return f"The code: `{options.get('pyobject', '')}` in `{title.removeprefix('../')}`."
    if kind == "figure":
        picture = f"![{options.get('alt', '')}]({known.site}/{title.removeprefix('../')})"
        return f"{picture}\n\n*{' '.join(body.split())}*" if body else picture
    name = _NAMES.get(kind, "")
    lines = [f"**{': '.join(filter(None, [name, title]))}**", "", *body.splitlines()] if name or title else [body]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _word(role: str, content: str, known: Known) -> str:
    if role in ("glue:text", "published", "recorded"):
        return known.value(role, content)
    named = _NAMED.match(content)
    if named:
        return named[1]
    if role.startswith("cite:"):
        return f"({content})"
    if role == "numref":
        return f"the figure “{content.removeprefix('fig-')}”"
    return _quoted(known.titles[content]) if content in known.titles else content


def _quoted(title: str) -> str:
    return f"“{title}”"
