"""What a page is made of: blocks that say themselves in HTML and in Markdown, and the frame around them.

Imports no torch.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Protocol

from cutmix.errors import CutmixError
from cutmix.files import write_atomically


def write_page(blocks: Sequence[Block], title: str, page: Path, document: Path) -> None:
    """Write ``blocks`` as the HTML file ``page``, which needs nothing beside it, and the Markdown file ``document``."""
    html = PAGE.format(title=escape(title), body="\n".join(block.html() for block in blocks))
    markdown = "\n\n".join(block.markdown() for block in blocks) + "\n"
    write_atomically(page, lambda file: file.write(html.encode()))
    write_atomically(document, lambda file: file.write(markdown.encode()))


def read_bytes(path: Path) -> bytes:
    """The content of a file; ``CutmixError`` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise CutmixError(f"cannot read {path}: {error.strerror}.") from error


class Block(Protocol):
    """A part of a page, which knows how to say itself in both languages."""

    def html(self) -> str: ...

    def markdown(self) -> str: ...


@dataclass(frozen=True)
class Heading:
    level: int
    text: str

    def html(self) -> str:
        return f"<h{self.level}>{escape(self.text)}</h{self.level}>"

    def markdown(self) -> str:
        return f"{'#' * self.level} {plain(self.text)}"


@dataclass(frozen=True)
class Text:
    text: str

    def html(self) -> str:
        return f"<p>{escape(self.text)}</p>"

    def markdown(self) -> str:
        return plain(self.text)


@dataclass(frozen=True)
class Items:
    texts: Sequence[str]

    def html(self) -> str:
        return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in self.texts) + "</ul>"

    def markdown(self) -> str:
        return "\n".join(f"- {plain(text)}" for text in self.texts)


@dataclass(frozen=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def html(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.header)
        body = "".join(f"<tr>{self._cells(row)}</tr>" for row in self.rows)
        kind = "list" if len(self.header) == 2 else "cards"  # on a phone, each row of a wide table becomes a card
        return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def _cells(self, row: Sequence[str]) -> str:
        return "".join(f'<td data-name="{escape(name)}">{escape(cell)}</td>' for name, cell in zip(self.header, row))

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "\n".join("| " + " | ".join(plain(cell) for cell in line) + " |" for line in lines)


@dataclass(frozen=True)
class Pictures:
    """PNG and JPEG (``.jpg``) pictures with their captions, side by side where there is room."""

    pictures: Sequence[tuple[Path, str]]

    def html(self) -> str:
        figures = []
        for path, caption in self.pictures:
            data = base64.b64encode(read_bytes(path)).decode()
            kind = "jpeg" if path.suffix == ".jpg" else "png"
            image = f'<img src="data:image/{kind};base64,{data}" alt="{escape(caption)}">'
            figures.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
        return f'<div class="pictures">{"".join(figures)}</div>'

    def markdown(self) -> str:
        return "\n\n".join(f"![{plain(caption)}]({path.name})\n\n{plain(caption)}" for path, caption in self.pictures)


@dataclass(frozen=True)
class Code:
    lines: Sequence[str]

    def html(self) -> str:
        return f"<pre>{escape(chr(10).join(self.lines))}</pre>"

    def markdown(self) -> str:
        return "\n".join(["```", *self.lines, "```"])


def plain(text: str) -> str:
    """``text`` with what Markdown would take for its own signs escaped."""
    return "".join(f"\\{sign}" if sign in r"\`*_|<[" else sign for sign in text.replace("\n", " "))


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 62rem; margin: 0 auto;
       padding: 1rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; font-size: 0.9rem; }}
th, td {{ text-align: left; vertical-align: top; padding: 0.3rem 1.2rem 0.3rem 0; border-bottom: 1px solid #ddd; }}
td {{ font-variant-numeric: tabular-nums; overflow-wrap: break-word; }}
.cards td:first-child {{ font-weight: 600; }}
.pictures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }}
figure {{ margin: 0.5rem 0; }}
img {{ max-width: 100%; height: auto; }}
figcaption {{ font-size: 0.85rem; color: #555; }}
pre {{ background: #f5f5f5; padding: 0.7rem; overflow-x: auto; font-size: 0.8rem; }}
@media screen and (max-width: 40rem) {{
  .cards, .cards tbody, .cards tr {{ display: block; }}
  .cards thead {{ display: none; }}
  .cards tr {{ border-bottom: 1px solid #999; padding: 0.4rem 0; }}
  .cards td {{ display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: 0.1rem 0;
              overflow-wrap: anywhere; }}
  .cards td::before {{ content: attr(data-name); color: #555; font-weight: 400; flex: 0 0 40%; }}
  .cards td:first-child::before {{ content: none; }}
  .cards td:empty {{ display: none; }}
}}
@media print {{
  body {{ font-size: 11px; max-width: none; padding: 0; }}
  pre {{ white-space: pre-wrap; }}
  h2 {{ break-after: avoid; }}
  figure, tr {{ break-inside: avoid; }}
}}
</style>
</head>
<body>
{body}
</body>
</html>
"""
