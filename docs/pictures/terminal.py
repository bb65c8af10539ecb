#!/usr/bin/env python3
"""Runs a command in a terminal of its own and draws what it printed as an SVG picture.

    docs/pictures/terminal.py OUT.svg [--lines FIRST:LAST] -- COMMAND…
"""
import argparse
import html
import os
import pty
import re
import subprocess
import sys

COLUMNS, LINE, GLYPH, PAD = 118, 18, 7.84, 14
LEVELS = [0, 95, 135, 175, 215, 255]


def colour(index):
    """A colour of the terminal's cube of 256, as hex."""
    if index < 16:
        return "#000000" if index in (0, 16) else "#c0c0c0"
    if index >= 232:
        grey = 8 + 10 * (index - 232)
        return f"#{grey:02x}{grey:02x}{grey:02x}"
    index -= 16
    return "#" + "".join(f"{LEVELS[part]:02x}" for part in (index // 36, index // 6 % 6, index % 6))


def run(command):
    """The command's output as a terminal of COLUMNS columns would get it."""
    main, other = pty.openpty()
    environment = dict(os.environ, TERM="xterm-256color", COLUMNS=str(COLUMNS))
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=other, stderr=subprocess.DEVNULL, env=environment)
    os.close(other)
    chunks = []
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:
            break
        if not chunk:
            break
        chunks.append(chunk)
    if process.wait() != 0:
        sys.exit(f"{command[0]} ended with status {process.returncode}")
    return b"".join(chunks).decode("utf-8", "replace").replace("\r\n", "\n")


def spans(line, state):
    """Pieces of a line with their style; `state` carries on from line to line."""
    for part in re.split(r"(\x1b\[[0-9;]*[A-Za-z])", line):
        if part.startswith("\x1b["):
            if not part.endswith("m"):
                continue
            codes = [int(c or 0) for c in part[2:-1].split(";")]
            while codes:
                code = codes.pop(0)
                if code == 0:
                    state.clear()
                elif code == 1:
                    state["bold"] = True
                elif code == 2:
                    state["dim"] = True
                elif code in (38, 48) and len(codes) >= 2:
                    state["fg" if code == 38 else "bg"] = colour(codes[1])
                    codes = codes[2:]
        elif part:
            yield part, dict(state)


def wrap(text):
    """Cuts lines at the terminal's width, escape sequences not counted."""
    for line in text.split("\n"):
        shown, out = 0, ""
        for part in re.split(r"(\x1b\[[0-9;]*[A-Za-z])", line):
            if part.startswith("\x1b["):
                out += part
                continue
            while shown + len(part) > COLUMNS:
                out += part[:COLUMNS - shown]
                part = part[COLUMNS - shown:]
                yield out
                out, shown = "", 0
            out += part
            shown += len(part)
        yield out


def draw(lines, title):
    height = PAD * 2 + LINE * (len(lines) + 1)
    width = PAD * 2 + GLYPH * COLUMNS
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-family="ui-monospace,Menlo,Consolas,monospace" font-size="13">',
           f'<rect width="100%" height="100%" rx="8" fill="#14191f"/>',
           f'<text x="{PAD}" y="{PAD + 12}" fill="#7d8996">$ {html.escape(title)}</text>']
    state = {}
    for number, line in enumerate(lines):
        x, y = PAD, PAD + LINE * (number + 1) + 12
        for text, style in spans(line, state):
            size = GLYPH * len(text)
            if "bg" in style:
                out.append(f'<rect x="{x:.1f}" y="{y - 13}" width="{size:.1f}" height="{LINE - 1}" fill="{style["bg"]}"/>')
            fill = style.get("fg", "#7d8996" if style.get("dim") else "#dde4ec")
            weight = ' font-weight="700"' if style.get("bold") else ""
            out.append(f'<text x="{x:.1f}" y="{y}" fill="{fill}"{weight} xml:space="preserve" textLength="{size:.1f}">{html.escape(text)}</text>')
            x += size
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--lines", default=":", help="which lines to show, such as 0:30")
    parser.add_argument("--title", help="the command as it is shown")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    first, last = (int(part) if part else None for part in args.lines.split(":"))
    lines = list(wrap(run(args.command)))[first:last]
    while lines and not lines[-1].strip():
        lines.pop()
    with open(args.out, "w", encoding="utf-8") as out:
        out.write(draw(lines, args.title or " ".join(args.command)))


if __name__ == "__main__":
    main()
