/* The report's style sheet: one page, light and dark, readable when printed. */
#ifndef FATHOM_EXPLAIN_REPORT_STYLE_H
#define FATHOM_EXPLAIN_REPORT_STYLE_H

static const char report_style[] =
    ":root{--ink:#1b2430;--faint:#5d6b7a;--line:#d9dfe6;--page:#fff;--card:#f6f8fa;--up:#0b7a4b;--down:#b3261e;--mark:#"
    "e4822f}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6ebf1;--faint:#9aa7b5;--line:#303a46;--page:#12171d;--card:#"
    "1a2129;--up:#4cc38a;--down:#ff8b80;--mark:#f0a35e}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:62rem;padding:2rem 1.2rem 4rem;font:16px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--page)}"
    "h1{font-size:1.5rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2.2rem 0 .4rem}p{margin:.4rem 0;max-width:48rem}"
    ".faint{color:var(--faint)}.card{background:var(--card);border:1px solid "
    "var(--line);border-radius:8px;padding:1rem 1.2rem;margin:1rem 0}"
    ".prompt{font:1.15rem/2 ui-monospace,monospace;overflow-wrap:anywhere}.answer{color:var(--mark);font-weight:700}"
    "table{border-collapse:collapse;width:100%;font-size:.92rem}th{text-align:left;color:var(--faint);font-weight:600}"
    "td,th{padding:.28rem .6rem .28rem 0;border-bottom:1px solid "
    "var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    "code{font:.92em ui-monospace,monospace;background:var(--card);border-radius:3px;padding:0 "
    ".2em;white-space:pre-wrap}.scroll{overflow-x:auto}"
    ".holds{color:var(--up);font-weight:600}.fails{color:var(--faint)}.lost{color:var(--down)}.gained{color:var(--up)}"
    "svg{display:block;max-width:100%;height:auto}svg text{fill:var(--faint);font:11px system-ui,sans-serif}"
    ".token{border-radius:3px;padding:.12em .05em;white-space:pre-wrap}details{margin:.5rem "
    "0}summary{cursor:pointer;color:var(--faint)}";

#endif
