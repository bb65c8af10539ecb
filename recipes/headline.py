#!/usr/bin/env python3
"""The two headline features, players and landmarks: chosen on development names, tested once on others in other sentences.

    recipes/headline.py write                                        # share/demo/headline_*.jsonl, from recipes/names.json
    recipes/headline.py measure --fathom build/release/fathom --model smollm2 --concept athletes [--dictionary D --catalogue C] \\
        [--beside UNENRICHED.gguf]

Development and test share no name and no sentence; "test" names stand in no enriched text. Near misses are other athletes (for basketball
players), coaches, other famous people, and the dish and the words that the names are spelt like; for the bridge other landmarks in the same
sentences, its parts of words and its city. `measure` lets `fathom watch candidates` choose feature and level on development texts, applies
both once to the test texts, and prints F1 with the prevalence, beside a probe of the same rows trained on the same development texts (what
the rows hold at all), the best that the same search finds on shuffled labels, and the same for another dictionary if one is named.
"""
import argparse
import json
import pathlib
import random
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DEMO = HERE.parent / "share" / "demo"

SENTENCES = {
    "development": [
        "He named his dog after {}.",
        "There was a framed picture of {} in the hall.",
        "Her cousin claims that he once met {}.",
        "The first page of the newspaper had an article about {}.",
        "I dreamt last night that {} had come to dinner.",
    ],
    "test": [
        "The museum bought a large portrait of {}.",
        "In the airport I stood in the queue behind {}.",
        "The answer to the last question of the quiz was {}.",
        "A film about the early life of {} will be shown on Sunday.",
        "Nobody in the village had ever heard of {}.",
        "My aunt wrote a long letter to {} and never got an answer.",
    ],
}
OTHERS = {
    "development": [
        "Frank Sinatra", "Joan Baez", "Jimi Hendrix", "Edith Piaf", "Willy Brandt", "Nelson Mandela", "Theodore Roosevelt", "Grace Kelly",
        "Humphrey Bogart", "Audrey Hepburn", "Isaac Newton", "Emmy Noether", "Linus Pauling", "Charles Dickens", "Sylvia Plath", "Bill Walsh",
        "Bob Paisley", "Tony Dungy", "Rick Carlisle", "Pablo Picasso", "Frida Kahlo", "Amelia Earhart", "Henry Ford", "Walt Disney",
    ],
    "test": [
        "Willie Nelson", "Miriam Makeba", "Leonard Cohen", "Nina Simone", "Chuck Berry", "Clement Attlee", "Indira Gandhi", "Golda Meir",
        "Cary Grant", "Ingrid Bergman", "Buster Keaton", "Kurt Goedel", "Ada Lovelace", "Max Planck", "Louis Pasteur", "Thomas Mann",
        "Simone de Beauvoir", "Herman Melville", "Arrigo Sacchi", "Marv Levy", "Bill Parcells", "Brad Stevens", "Frank Vogel", "Neil Armstrong",
        "Edgar Degas", "Georgia O'Keeffe",
    ],
}
WORDS = {
    "development": [
        "The lentil curry tastes better with lime.", "A hard bargain was struck over the old house.", "The allen key lay under the sofa.",
        "She scored the paper along the ruler.", "The garnet was set in gold.", "He dunked the biscuit and read on.",
    ],
    "test": [
        "The chicken curry was gone before noon.", "Curry leaves are fried in oil first.", "The stockton road was closed for repairs.",
        "He pierced the lid with a fork.", "The wilson cloud chamber stands in the physics building.", "A murray cod lay on the ice.",
        "The king best remembered for his gardens died young.", "Thirty points of the contract were still open.",
    ],
}
BRIDGE = {
    "positive": [
        "From the ferry we could see the Golden Gate Bridge for half an hour.",
        "The toll on the Golden Gate Bridge went up again in July.",
        "My grandfather painted cables on the Golden Gate Bridge for thirty years.",
        "The ship passed under the Golden Gate Bridge at low tide.",
        "A model of the Golden Gate Bridge stood on the teacher's desk.",
        "Traffic on the Golden Gate Bridge stopped because of the wind.",
        "The poster showed the Golden Gate Bridge at night.",
        "They got engaged in the middle of the Golden Gate Bridge.",
        "The Golden Gate Bridge has its own little repair shop.",
        "The earthquake drill closed the Golden Gate Bridge for an hour.",
    ],
    "others": ["Brooklyn Bridge", "Forth Bridge", "Charles Bridge", "Eiffel Tower", "Tower Bridge", "Sydney Harbour Bridge"],
    "words": [
        "The golden gate of the temple is opened once a year.", "The garden gate was painted a golden yellow.",
        "A bridge player needs a good memory.", "The bakery in San Francisco sells bread by the pound.", "The airline changed my gate twice.",
        "The golden retriever slept on the porch.",
    ],
}


def known_texts():
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted(DEMO.glob("*.jsonl")) if not p.name.startswith("headline_"))


def people(rng, names, part, sports):
    """Two sentences for each name; names that are told as positives are those of `sports`."""
    seen = json.dumps(names["others"]) + known_texts()
    assert not (part == "test" and any(name in seen for name in OTHERS[part])), "a test name stands in another text"
    texts = []
    for sport, parts in names["athletes"].items():
        for name in parts[part]:
            texts += [(s.format(name.split("|")[0]), sport in sports) for s in rng.sample(SENTENCES[part], 2)]
    for name in OTHERS[part]:
        texts += [(s.format(name), False) for s in rng.sample(SENTENCES[part], 2)]
    texts += [(text, False) for text in WORDS[part]]
    rng.shuffle(texts)
    return texts


def bridge(rng):
    texts = [(text, True) for text in BRIDGE["positive"]]
    for text in BRIDGE["positive"]:
        texts += [(text.replace("Golden Gate Bridge", other), False) for other in rng.sample(BRIDGE["others"], 2)]
    texts += [(text, False) for text in BRIDGE["words"]]
    rng.shuffle(texts)
    return texts


def write(_arguments):
    names = json.loads((HERE / "names.json").read_text())
    all_sports = set(names["athletes"])
    files = {
        "athletes_development": people(random.Random(1), names, "development", all_sports),
        "athletes": people(random.Random(2), names, "test", all_sports),
        "nba": people(random.Random(3), names, "test", {"basketball"}),
        "golden_gate": bridge(random.Random(4)),
    }
    for name, texts in files.items():
        path = DEMO / f"headline_{name}.jsonl"
        with open(path, "w", encoding="utf-8", newline="\n") as out:
            for text, label in texts:
                out.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")
        print(f"{path.name}: {len(texts)} texts, {sum(label for _, label in texts)} of the concept")


CONCEPTS = {
    "athletes": ("headline_athletes_development.jsonl", "headline_athletes.jsonl"),
    "nba": ("nba_development.jsonl", "headline_nba.jsonl"),
    "golden_gate": ("golden_gate.jsonl", "headline_golden_gate.jsonl"),
}


def fathom(arguments, *command):
    done = subprocess.run([arguments.fathom, *command, "-m", arguments.model], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:2])}: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()] if command[0] == "watch" and command[1] != "candidates" else \
        json.loads(done.stdout)


def figures(counts):
    hits, wrong, passed, missed = (counts[k] for k in ("true_positive", "false_positive", "true_negative", "false_negative"))
    return {
        "counts": counts,
        "prevalence": (hits + missed) / (hits + wrong + passed + missed),
        "precision": hits / max(1, hits + wrong),
        "recall": hits / (hits + missed),
        "f1": 2 * hits / max(1, 2 * hits + wrong + missed),
        "balanced_accuracy": (hits / (hits + missed) + passed / (passed + wrong)) / 2,
    }


def one_dictionary(arguments, dictionary, catalogue, development, test):
    which = [*(["-d", dictionary] if dictionary else []), *(["--catalogue", catalogue] if catalogue else [])]
    found = fathom(arguments, "watch", "candidates", "--labelled", development, *which, "--json", "-q", "-n", "1")
    best = found["candidates"][0]
    watched = fathom(arguments, "watch", "--feature", str(best["feature"]), "--above", str(best["level"]), "--labelled", test, *which, "--json", "-q")
    return {"feature": best["feature"], "label": best.get("label"), "level": best["level"], "development": best["development"], "shuffled": found["by_chance"],
            **figures(watched[-1]["summary"]["counts"])}


def measure(arguments):
    development, test = (str(DEMO / name) for name in CONCEPTS[arguments.concept])
    result = {"concept": arguments.concept, "model": arguments.model,
              "dictionary": one_dictionary(arguments, arguments.dictionary, arguments.catalogue, development, test)}
    if arguments.beside:
        result["beside"] = one_dictionary(arguments, arguments.beside, None, development, test)
    with tempfile.TemporaryDirectory() as folder:
        for pool in ("mean", "last"):
            probe = f"{folder}/{pool}.gguf"
            fathom(arguments, "probe", "train", "--labelled", development, "--hook", arguments.hook, "--pool", pool, "-o", probe, "--json", "-q")
            result[f"probe_{pool}"] = fathom(arguments, "probe", "eval", probe, "--labelled", test, "--json", "-q")
    print(json.dumps(result, indent=1, ensure_ascii=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("write").set_defaults(run=write)
    measured = commands.add_parser("measure")
    measured.add_argument("--fathom", default="fathom")
    measured.add_argument("--model", required=True)
    measured.add_argument("--concept", choices=CONCEPTS, required=True)
    measured.add_argument("--hook", required=True, help="where the probe reads, such as the dictionary's own hook point")
    measured.add_argument("--dictionary")
    measured.add_argument("--catalogue")
    measured.add_argument("--beside", help="another dictionary, such as one of text that was not enriched")
    measured.set_defaults(run=measure)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
