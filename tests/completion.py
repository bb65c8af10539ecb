"""What a shell offers after the start of a command, by the script that the command prints for it: completion.py bash|zsh|fish.

Exits with 77 where the shell is not installed."""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

FATHOM = os.environ["FATHOM"]
PATIENCE = 60  # seconds for one completion; a good one takes milliseconds

# The line, what must be offered, what must not be.
CASES = [
    ("fathom ", {"steer", "probe", "doctor", "help"}, {"eval refusal"}),
    ("fathom do", {"doctor"}, {"demo", "steer"}),
    ("fathom probe ", {"train", "eval", "apply"}, {"steer", "sample"}),
    ("fathom bench tr", {"train"}, {"generate"}),
    ("fathom doctor --", {"--model", "--adapter", "--json", "--help", "--quiet", "--no-gpu"}, {"--corpus"}),
    ("fathom steer --", {"--strength", "--plan"}, {"--arch"}),
    ("fathom steer candidates --", {"--json", "--help"}, {"--strength", "--plan"}),
    ("fathom probe train --p", {"--pool"}, {"--plan"}),
    ("fathom train --arch ", {"topk", "batchtopk", "jumprelu"}, {"model.gguf"}),
    ("fathom train --arch g", {"gated"}, {"topk"}),
    ("fathom doctor --model ", {"smollm2", "gemma3", "model.gguf"}, set()),
    ("fathom doctor -m s", {"smollm2"}, {"gemma3", "model.gguf"}),
    ("fathom doctor --model=g", {"gemma3"}, {"smollm2"}),
    ("fathom probe train --hook ", {"resid_post.", "mlp_out.", "logits"}, {"model.gguf", "logits."}),
    ("fathom capture --hook mlp_", {"mlp_in.", "mlp_pre.", "mlp_post.", "mlp_out."}, {"resid_post."}),
    ("fathom import --output=mod", {"model.gguf"}, {"folder"}),
    ("fathom demo --output ", {"folder"}, {"model.gguf"}),
    ("fathom eval mod", {"model.gguf"}, set()),
    ("fathom index with", {"with blank.jsonl"}, {"model.gguf"}),
]

ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "
unsetopt zle_bracketed_paste; unset zle_bracketed_paste
fpath=($1 \$fpath); autoload -U compinit; compinit -u -D
zstyle ':completion:*' list-colors ''
compadd() {
    local -a found; local word
    if [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd \"\$@\"; return; fi
    builtin compadd -A found \"\$@\"
    for word in \$found; do print -r -- \$word >> $2; done
    builtin compadd \"\$@\"
}
offered() { print >> $2.end }
complete_and_tell() { zle expand-or-complete; offered }
zle -N complete_and_tell; bindkey '^I' complete_and_tell
print ready > $2.ready
"
for i in {1..500}; do [[ -s $2.ready ]] && break; zpty -r -t shell line; sleep 0.05; done
zpty -n -w shell "$3"$'\t'
for i in {1..500}; do [[ -s $2.end ]] && break; zpty -r -t shell line; sleep 0.05; done
zpty -d shell
"""

BASH = r"""
source "$1"
compopt() { :; } # only readline's own call may change how an offer is written
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_fathom
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(*arguments, folder):
    return subprocess.run(arguments, cwd=folder, check=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, HOME=str(folder.parent), TERM="dumb")).stdout


def bash(script, line, folder):
    words = line.replace("=", " = ").split(" ")  # as readline cuts them
    return run("bash", "--norc", "-c", BASH, "bash", script, *words, folder=folder).splitlines()


def zsh(script, line, folder):
    functions = folder.parent / "functions"
    functions.mkdir(exist_ok=True)
    shutil.copy(script, functions / "_fathom")
    out = pathlib.Path(tempfile.mkdtemp(dir=folder.parent)) / "offered"
    run("zsh", "-f", "-c", ZSH, "zsh", functions, out, line, folder=folder)
    return out.read_text().splitlines() if out.exists() else []


def fish(script, line, folder):
    told = run("fish", "--no-config", "-c", f"source {shlex.quote(str(script))}; complete -C {shlex.quote(line)}", folder=folder)
    return [offer.split("\t")[0] for offer in told.splitlines()]


def plain(offer):
    """Without what shells put before a word, after a folder and around a blank."""
    return offer.split("=", 1)[-1].replace("\\", "").rstrip("/")


def main(shell):
    if shutil.which(shell) is None:
        print(f"{shell} is not installed: its completion was not run")
        return 77
    failures = 0
    with tempfile.TemporaryDirectory() as home:
        folder, script = pathlib.Path(home) / "here", pathlib.Path(home) / "script"
        (folder / "folder").mkdir(parents=True)
        for name in ("model.gguf", "with blank.jsonl"):
            (folder / name).write_text("")
        script.write_bytes(subprocess.run([FATHOM, "completion", shell], check=True, stdout=subprocess.PIPE).stdout)
        for line, wanted, unwanted in CASES:
            offers = {plain(offer) for offer in {"bash": bash, "zsh": zsh, "fish": fish}[shell](script, line, folder)}
            if wanted - offers or unwanted & offers:
                print(f"{shell}: “{line}” offers {sorted(offers)}\n  without {sorted(wanted - offers)}, with {sorted(unwanted & offers)}")
                failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
