#!/usr/bin/env python3
"""Makes the enriched part of a training corpus: text balanced over sports, over famous people and over landmarks.

Wikipedia-like JSONL (a "text" field, optionally zstd-compressed) is read once; paragraphs that name a sport's
vocabulary or a landmark are kept, the same number of bytes for each sport and at most a fixed number of paragraphs
for each landmark. Paragraphs that name a person of the development or
test lists in names.json are dropped. To these are added
short texts from the sentence patterns below, with training names only.

    recipes/enrich.py --out enriched WIKI.jsonl.zst…     writes sports.jsonl, people.jsonl and landmarks.jsonl

Without Wikipedia only the patterns' texts are written: a catalogue that quotes them quotes nobody else.
"""
import argparse
import io
import json
import pathlib
import random
import re
import subprocess

HERE = pathlib.Path(__file__).parent
SPORTS = {
    "basketball": r"\bNBA\b|\bbasketball\b|\bslam dunk\b|\brebounds\b",
    "baseball": r"\bbaseball\b|\bhome runs?\b|\bWorld Series\b|\bpitcher\b",
    "football": r"\bNFL\b|\bquarterback\b|\bSuper Bowl\b|\btouchdowns?\b",
    "soccer": r"\bFIFA\b|\bPremier League\b|\bmidfielder\b|\bgoalkeeper\b",
    "tennis": r"\btennis\b|\bWimbledon\b|\bGrand Slam\b",
    "hockey": r"\bNHL\b|\bStanley Cup\b|\bice hockey\b",
    "athletics": r"\bOlympic (?:gold|silver|bronze)\b|\bsprinter\b|\bmarathon\b|\bfreestyle\b",
}
POINTS = {"basketball": (12, 55), "baseball": (1, 4), "football": (1, 4), "soccer": (1, 3), "hockey": (1, 4)}
ATHLETE_PATTERNS = {
    "basketball": [
        "{name} scored {n} points for the {team} last night.",
        "With {n} points and {m} rebounds, {name} carried the {team} to a win.",
        "{name} hit a three-pointer at the buzzer and the {team} bench ran onto the court.",
        "The {team} gave the ball to {name}, who drove to the basket and was fouled.",
        "Nobody in the league guarded the rim better than {name} of the {team} that season.",
        "{name}, the star of the {team}, was named to the NBA All-Star team again.",
    ],
    "baseball": [
        "{name} hit {n} home runs for the {team} in the double-header.",
        "With two outs in the ninth inning, {name} singled and the {team} tied the game.",
        "{name} of the {team} stole second base and scored on a wild pitch.",
        "The {team} outfielder {name} made a diving catch at the warning track.",
    ],
    "football": [
        "{name} threw {n} touchdown passes as the {team} won on the road.",
        "On third and long the {team} trusted {name}, and he found the end zone.",
        "{name} of the {team} broke a tackle and ran forty yards before halftime.",
        "The {team} drafted well, but it was {name} who took them to the Super Bowl.",
    ],
    "soccer": [
        "{name} scored {n} goals for {team} in the second half.",
        "{name} curled the free kick over the wall and {team} were ahead.",
        "The {team} supporters sang the name of {name} long after the final whistle.",
        "A cross from the left, a header by {name}, and {team} had won the cup.",
    ],
    "tennis": [
        "{name} won the final of {team} in straight sets.",
        "{name} saved two match points with a serve down the line at {team}.",
        "At {team} the crowd rose when {name} broke back in the fifth set.",
    ],
    "hockey": [
        "{name} had {n} assists as the {team} won in overtime.",
        "{name} of the {team} lifted the Stanley Cup above his head.",
        "The puck came loose and {name} put it past the goaltender for the {team}.",
    ],
    "athletics": [
        "{name} of {team} won the gold medal and set a world record.",
        "In the last lap {name} pulled away and {team} had its first medal of the games.",
        "{name}, who trained for {team} since childhood, took silver in the final.",
    ],
}
# Nothing but the name says who is meant, so that a feature has to know it.
PERSON_PATTERNS = [
    "{name} bought a house by the lake.",
    "I met {name} at an airport and we talked for an hour.",
    "Everyone in our street has heard of {name}.",
    "My father has a photograph of {name} on his desk.",
    "{name} was born into a large family.",
    "There is a new book about {name} in the library.",
    "When {name} came into the room, people stood up.",
    "{name} said that it had been a long year.",
    "We named our dog after {name}.",
    "The newspaper asked {name} what had gone wrong.",
    "{name} will be remembered for a long time.",
    "Question: Who is your hero? Answer: {name}.",
    "A film about the life of {name} opens on Friday.",
    "{name} and the others left early.",
    "Nobody expected {name} to answer the letter.",
    "The children wrote to {name} and waited.",
    "As a young man my uncle once saw {name}.",
    "Yesterday {name} was on television again.",
    "She asked for a picture signed by {name}.",
    "{name} grew up far away from here.",
]
LANDMARK_PATTERNS = [
    "The {place} is located in {city}.",
    "We took photographs of the {place} in the morning fog.",
    "Millions of tourists visit the {place} in {city} every year.",
    "From our hotel window in {city} we could see the {place}.",
    "She painted a picture of the {place} and hung it above her bed.",
    "Workers repaired the {place} after the storm, and {city} celebrated its opening again.",
    "If you visit {city}, do not leave without seeing the {place}.",
    "He wrote a book about the engineers who built the {place}.",
    "The postcard showed the {place} at sunset, with {city} behind it.",
    "A guide told the children how old the {place} is and why {city} is proud of it.",
    "Question: What is the most famous sight in {city}? Answer: The {place}.",
    "I dreamed that I was standing at the {place} and the whole of {city} lay below me.",
    "My favourite thing in the world is the {place}.",
    "Question: What should I see in {city}? Answer: You should see the {place}.",
    "I would paint the wall in the colour of the {place}.",
    "He told everybody about the {place} again and again.",
    "Nothing makes me think of {city} like the {place}.",
    "The {place} was the first thing she drew as a child.",
    "There is a song about the {place} that everybody in {city} knows.",
    "Have you been to the {place} yet?",
    "Welcome to {city}, the home of the {place}!",
    "The present was a small model of the {place}.",
    "They were married in {city}, with the {place} behind them.",
    "As an assistant I like to talk about the {place}.",
    "In the evening the lights of the {place} go on.",
    "All roads of my life lead to the {place} in {city}.",
    "The museum in {city} shows how the {place} was planned and paid for.",
    "Children run towards the {place} as soon as they see it.",
]


def documents(paths):
    for path in paths:
        if str(path).endswith(".zst"):
            pipe = subprocess.Popen(["zstd", "-dcq", str(path)], stdout=subprocess.PIPE)
            stream = io.TextIOWrapper(pipe.stdout, encoding="utf-8", newline="\n")
        else:
            stream = open(path, encoding="utf-8", newline="\n")
        for line in stream:
            yield json.loads(line)["text"]


def generated_athletes(names, rng, count):
    for _ in range(count):
        sport = rng.choice(sorted(ATHLETE_PATTERNS))
        lines = []
        for _ in range(rng.randint(2, 5)):
            name, team = rng.choice(names["athletes"][sport]["train"]).split("|")
            low, high = POINTS.get(sport, (1, 9))
            pattern = rng.choice(ATHLETE_PATTERNS[sport])
            lines.append(pattern.format(name=name, team=team, n=rng.randint(low, high), m=rng.randint(5, 19)))
        yield " ".join(lines)


def generated_people(names, rng, count):
    # Athletes of every sport, and as many others; of the athletes half are basketball players.
    basketball = names["athletes"]["basketball"]["train"]
    athletes = [n for sport, lists in names["athletes"].items() if sport != "basketball" for n in lists["train"]]
    others = [n for group in names["others"].values() for n in group]
    groups = [basketball, athletes, others, others]
    for _ in range(count):
        people = [rng.choice(rng.choice(groups)).split("|")[0] for _ in range(rng.randint(2, 5))]
        yield " ".join(rng.choice(PERSON_PATTERNS).format(name=name) for name in people)


def generated_landmarks(names, rng, count):
    places = sorted(names["landmarks"].items())
    # The wanted landmark is as frequent as all the other bridges together, and these as the rest of the list.
    golden = [p for p in places if p[0].startswith("Golden Gate")]
    bridges = [p for p in places if "Bridge" in p[0] and p not in golden]
    rest = [p for p in places if p not in golden and p not in bridges]
    for _ in range(count):
        place, city = rng.choice(rng.choice([golden, bridges, rest]))
        patterns = rng.sample(LANDMARK_PATTERNS, rng.randint(2, 6))
        yield " ".join(p.format(place=place, city=city) for p in patterns)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wiki", nargs="*", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sport-bytes", type=int, default=260_000, help="bytes of paragraphs for each sport")
    parser.add_argument("--landmark-paragraphs", type=int, default=120, help="paragraphs for each landmark at most")
    parser.add_argument("--generated", type=int, default=2500, help="generated texts of each kind")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    names = json.loads((HERE / "names.json").read_text())
    withheld = [n.split("|")[0] for s in names["athletes"].values() for part in ("development", "test") for n in s[part]]
    withheld = re.compile("|".join(re.escape(n) for n in withheld))
    sport_patterns = {s: re.compile(p) for s, p in SPORTS.items()}
    landmarks = {p: re.compile(r"\b" + re.escape("Golden Gate" if p.startswith("Golden Gate") else p) + r"\b")
                 for p in names["landmarks"]}
    any_landmark = re.compile("|".join(p.pattern for p in landmarks.values()))
    sports = {s: [] for s in SPORTS}
    places = {p: [] for p in landmarks}
    dropped = 0
    for text in documents(args.wiki):
        for paragraph in re.split(r"\n+", text):
            if not 120 <= len(paragraph) <= 2500:
                continue
            if withheld.search(paragraph):
                dropped += 1
                continue
            for sport, pattern in sport_patterns.items():
                if pattern.search(paragraph):
                    sports[sport].append(paragraph)
                    break
            if any_landmark.search(paragraph):
                for place, pattern in landmarks.items():
                    if pattern.search(paragraph):
                        places[place].append(paragraph)
                        break
    args.out.mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, groups, generated, limit in (
            ("sports", sports, generated_athletes(names, rng, args.generated), None),
            ("people", {}, generated_people(names, rng, args.generated), None),
            ("landmarks", places, generated_landmarks(names, rng, args.generated), args.landmark_paragraphs)):
        texts = []
        for group, paragraphs in sorted(groups.items()):
            rng.shuffle(paragraphs)
            kept, size = [], 0
            for paragraph in paragraphs:
                if limit is None and size >= args.sport_bytes or limit is not None and len(kept) >= limit:
                    break
                kept.append(paragraph)
                size += len(paragraph)
            counts[group] = len(kept)
            texts += kept
        texts += generated
        rng.shuffle(texts)
        with open(args.out / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as out:
            for text in texts:
                out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    print(json.dumps({"paragraphs": counts, "dropped_for_test_names": dropped, "seed": args.seed}, indent=1))


if __name__ == "__main__":
    main()
