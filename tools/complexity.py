"""Parameters and multiply-adds of the published networks, beside the published figures.

    python tools/complexity.py                          # print the table
    python tools/complexity.py --write docs/complexity.md

Nothing is computed: shapes pass through the networks on torch's "meta" device.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from published_networks import rows

from sf_detect.atomic_file import write_text


def _difference(measured: float, published: float | None) -> str:
    return "" if published is None else f"{(measured / published - 1) * 100:+.1f} %"


def table() -> str:
    """The table, as Markdown."""
    lines = [
        "| source | network | G multiply-adds | published | difference | M parameters | published | difference |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    notes: list[str] = []
    for row in rows():
        gmacs, params = row.measure()
        if row.note and row.note not in notes:
            notes.append(row.note)
        mark = f" [{notes.index(row.note) + 1}]" if row.note else ""
        cells = [
            f"{row.source} | {row.name}{mark} | {gmacs:.2f} | {row.gmacs or ''} | {_difference(gmacs, row.gmacs)}",
            f"{params:.3f} | {row.params or ''} | {_difference(params, row.params)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *(f"[{i}] {note}.  " for i, note in enumerate(notes, 1))])


HEADER = """# Parameters and multiply-adds

Written by `tools/complexity.py`. One view of 256 x 256 pixels unless a row says otherwise, 400 classes (157 in table
4). Convolutions, linear layers and attention are counted; one multiply-add is one. "paper" is arXiv:1812.03982v3,
"Quo Vadis" arXiv:1705.07750 (parameters in whole millions, no multiply-adds), "C3D" arXiv:1412.0767, "TSM"
arXiv:1811.08383. The other rows of the paper's tables are other authors' networks, which are not built here.

"""


def main() -> None:
    """Prints the table, or writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", type=Path, help="Markdown file to write instead of printing")
    options = parser.parse_args()
    text = HEADER + table() + "\n"
    if options.write:
        write_text(options.write, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
