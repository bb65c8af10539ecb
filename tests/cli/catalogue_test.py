"""From a corpus to a catalogue and what is read from it, by the command: index, features, feature, search, the matrix."""
import json
import shutil
import sqlite3
import struct

import command

FEATURES, THRESHOLD = 8, 0.01  # of the toy dictionary
LEVELS = 255  # in which examples keep activations


def safetensors(path):
    """Name to a list of numbers."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    tensors = {}
    for name, about in json.loads(content[8:8 + size]).items():
        if name != "__metadata__":
            first, last = about["data_offsets"]
            code, width = {"F32": ("f", 4), "I32": ("i", 4), "I64": ("q", 8), "U32": ("I", 4)}[about["dtype"]]
            tensors[name] = struct.unpack(f"<{(last - first) // width}{code}", content[8 + size + first:8 + size + last])
    return tensors


class Catalogue(command.Case):
    def index(self, *more, catalogue="catalogue.sqlite", dictionary=None):
        return ("index", dictionary or self.toy, "-q", "-t", 1, "-m", self.llama, "--context", 32, "--corpus", self.corpus(),
                "--catalogue", catalogue, *more)

    def read(self, name, *more, catalogue="catalogue.sqlite"):
        return (*name, "-q", "-m", self.llama, "-d", self.toy, "--catalogue", catalogue, *more)

    def json(self, *arguments):
        return json.loads(self.good(*arguments, "--json").out)

    def test_what_seeds_share(self):
        toy = self.folder / "mine.gguf"
        shutil.copy(self.toy, toy)
        self.good(*self.index(dictionary=toy))
        feature = ("feature", "-q", "-m", self.llama, "-d", toy, "--catalogue", "catalogue.sqlite", 3)
        self.assertNotIn("stability", self.json(*feature))
        told = {"best_cosine": [0.1 * f for f in range(FEATURES)], "best_cosine_in_every_other_seed": {"median": 0.35},
                "random_directions": {"mean": 0.2}, "others": ["a.gguf", "b.gguf"]}
        self.write("mine.stability.json", json.dumps(told))
        stability = self.json(*feature)["stability"]
        self.assertAlmostEqual(0.3, stability.pop("best_cosine"))
        self.assertEqual({"median": 0.35, "random_directions": 0.2, "other_seeds": 2}, stability)
        self.assertIn("comes back from all of 2 other seeds with a decoder cosine of 0.30 or more (median of all features 0.35", self.good(*feature).out)
        told["best_cosine"].pop()
        self.write("mine.stability.json", json.dumps(told))
        self.bad(command.INPUT, ["mine.stability.json", "8 numbers are expected"], *feature)

    def test_what_is_built_can_be_read(self):
        built = self.json(*self.index())
        self.assertEqual(("catalogue.sqlite", 60), (built["catalogue"], built["documents"]))
        self.assertEqual(built["alive"], FEATURES)
        again = self.json(*self.index("--max-tokens", 200, catalogue="short.sqlite"))
        self.assertEqual(200, again["tokens"])

        text = "the golden gate bridge"
        read = self.json(*self.read(["features"], "--text", text, "--top", 2, "--about", 3))
        self.assertEqual(("toy", "blocks.1.hook_resid_post"), (read["dictionary"], read["hook"]))
        self.assertEqual(text, "".join(token["text"] for token in read["tokens"]).strip())
        for token in read["tokens"]:
            shown = token["features"]
            self.assertEqual(min(2, token["active"]), len(shown))
            self.assertEqual(sorted((f["level"] for f in shown), reverse=True), [f["level"] for f in shown])
            for feature in shown:
                self.assertGreater(feature["activation"], THRESHOLD)
                self.assertAlmostEqual(feature["activation"] / feature["max_activation"], feature["level"], places=5)
        self.assertEqual(3, len(read["about"]))

        strongest = read["about"][0]
        feature = self.json(*self.read(["feature", strongest["feature"]]))
        self.assertEqual(strongest["max_activation"], feature["max_activation"])
        self.assertAlmostEqual(feature["count"] / built["tokens"], feature["density"], places=6)
        self.assertEqual(feature["count"], sum(feature["histogram"]))
        top = [example for example in feature["examples"] if example["band"] == 0]
        self.assertEqual(feature["max_activation"], top[0]["value"])
        for example in feature["examples"]:
            self.assertAlmostEqual(example["value"], example["activations"][example["peak"]], delta=example["value"] / LEVELS)
            self.assertEqual(len(example["tokens"]), len(example["activations"]))
        self.assertGreater(feature["raised"][0]["effect"], feature["lowered"][0]["effect"])
        self.assertEqual(FEATURES - 1, len(feature["neighbours"]))

        page = self.good(*self.read(["feature", strongest["feature"]], "--examples", 1)).out
        for part in ("output tokens it raises", "nearest features", "activations\n", "strongest examples", "»"):
            self.assertIn(part, page)

    def test_a_label_is_measured(self):
        self.good(*self.index())
        texts = [("the golden gate bridge", True), ("golden bridge over the gate", True), ("stone wind river", False), ("the river in the wind", False)]
        labelled = self.write("labelled.jsonl", "".join(json.dumps({"text": t, "label": l}) + "\n" for t, l in texts))
        watched = self.fathom("watch", "-q", "-m", self.llama, "-d", self.toy, "--feature", 2, "--above", 0.5, "--labelled", labelled, "--json")
        counts = json.loads(watched.out.strip().split("\n")[-1])["summary"]["counts"]
        label = lambda *more: ("label", 2, "bridges", "-q", "-m", self.llama, "-d", self.toy, "--catalogue", "catalogue.sqlite", *more)
        told = self.json(*label("--labelled", labelled, "--above", 0.5))["measured"]
        self.assertEqual((2, 2, 0.5), (told["texts_true"], told["texts_false"], told["prevalence"]))
        self.assertAlmostEqual((counts["true_positive"] / 2 + counts["true_negative"] / 2) / 2, told["balanced_accuracy"], places=6)
        self.assertEqual(1, told["single_token"])
        kept = self.json(*self.read(["feature", 2]))
        self.assertEqual(("bridges", "user"), (kept["label"], kept["label_origin"]))
        self.assertAlmostEqual(told["balanced_accuracy"], kept["label_score"], places=6)
        self.assertEqual({"texts": ["labelled.jsonl"], "above": 0.5}, kept["labels"][0]["rule"])
        self.assertIn("in labelled.jsonl (shuffled labels", self.good(*self.read(["feature", 2])).out)
        self.assertIn("of 2 texts that it holds for and 2", self.good(*label("--labelled", labelled, "--above", 0.5)).out)
        self.assertIsNone(self.json(*label()).get("measured"))
        self.assertIsNone(self.json(*self.read(["feature", 2]))["label_score"])
        self.bad(command.USAGE, "--above", *label("--labelled", labelled))
        self.bad(command.USAGE, "--labelled", *label("--above", 1))
        self.bad(command.USAGE, "level above 0", *label("--labelled", labelled, "--above", 0))
        self.bad(command.INPUT, "nowhere.jsonl", *label("--labelled", "nowhere.jsonl", "--above", 1))

    def test_search(self):
        self.good(*self.index())
        raised = self.json(*self.read(["feature", 2]))["raised"][0]
        by_token = self.json(*self.read(["search"], "--token", raised["text"], "--top", FEATURES))
        self.assertEqual(raised["id"], by_token["token"]["id"])
        scores = {hit["feature"]: hit["search_score"] for hit in by_token["features"]}
        self.assertAlmostEqual(raised["effect"], scores[2], places=3)
        self.assertTrue(all(score > 0 for score in scores.values()))
        lowered = self.json(*self.read(["search"], "--token", raised["text"], "--lowers", "--top", FEATURES))
        self.assertFalse(set(scores) & {hit["feature"] for hit in lowered["features"]})
        by_text = self.json(*self.read(["search"], "--text", "the golden gate bridge", "--top", 3))
        self.assertEqual(3, len(by_text["features"]))
        by_words = self.json(*self.read(["search", "golden", "riv"]))
        self.assertEqual("golden riv", by_words["words"])
        self.assertGreater(len(by_words["features"]), 0)
        self.assertEqual([], self.json(*self.read(["search", "zeppelin"]))["features"])
        self.assertEqual("no feature found\n", self.good(*self.read(["search", "zeppelin"])).out)

    def test_private_text_stays_out(self):
        self.good(*self.index("--no-text"))
        content = (self.folder / "catalogue.sqlite").read_bytes()
        for word in (b"bridge", b"golden", b"river"):
            self.assertNotIn(word, content)
        feature = self.json(*self.read(["feature", 1]))
        self.assertGreater(feature["count"], 0)
        self.assertTrue(all(example["tokens"] == [] for example in feature["examples"]))
        self.good(*self.read(["features"], "--text", "the golden gate"))

    def test_without_a_catalogue(self):
        read = self.json("features", "-q", "-m", self.llama, "-d", self.toy, "--text", "the golden gate", "--top", 1)
        self.assertIsNone(read["catalogue"])
        self.assertEqual(1, len(read["tokens"][-1]["features"]))
        self.bad(command.INPUT, "catalogue", "feature", "-m", self.llama, "-d", self.toy, 1)

    def test_matrix(self):
        built = self.json("features", "-q", "-t", 1, "-m", self.llama, "-d", self.toy, "--matrix", "out.safetensors", "--context", 32,
                          "--max-tokens", 300, "--corpus", self.corpus())
        matrix = safetensors(self.folder / "out.safetensors")
        self.assertEqual((300, built["entries"]), (built["tokens"], len(matrix["values"])))
        self.assertEqual({300}, {len(matrix[name]) for name in ("tokens", "positions", "documents")})
        self.assertEqual(sorted(matrix["rows"]), list(matrix["rows"]))
        self.assertLess(max(matrix["rows"]), 300)
        self.assertEqual(set(range(FEATURES)), set(matrix["columns"]))
        self.assertGreater(min(matrix["values"]), THRESHOLD)
        self.assertEqual(0, min(matrix["positions"]))
        self.assertLess(max(matrix["positions"]), 32)

    def test_usage(self):
        self.bad(command.USAGE, "one of --text TEXT and --matrix", "features", "-m", self.llama)
        self.bad(command.USAGE, "belong together", "features", "-m", self.llama, "--matrix", "out")
        self.bad(command.USAGE, "belong together", "features", "-m", self.llama, "--text", "x", "--corpus", "x")
        self.bad(command.USAGE, "one of WORDS", "search", "-m", self.llama)
        self.bad(command.USAGE, "one of WORDS", "search", "-m", self.llama, "bridge", "--text", "x")
        for number in ("x", "-1", "1.5", "99999999999"):
            self.bad(command.USAGE, "a feature's number", "feature", "-m", self.llama, "--", number)
        self.bad(command.INPUT, "nowhere/out: ", "features", "-m", self.llama, "-d", self.toy, "--matrix", "nowhere/out", "--corpus",
                 self.corpus())

    def test_files_of_others(self):
        self.good(*self.index())
        other = command.files() / "toy-other.gguf"
        self.bad(command.INPUT, "toy-other.gguf", *self.index(catalogue="new.sqlite", dictionary=other))
        self.bad(command.INPUT, ["catalogue.sqlite", "another model"], "feature", "-m", command.files() / "other.gguf", "-d", other,
                 "--catalogue", "catalogue.sqlite", 1)
        self.bad(command.INPUT, "toy.gguf", "features", "-m", command.files() / "other.gguf", "-d", self.toy, "--text", "x")
        self.bad(command.INPUT, ["toy", "features 0 to 7"], *self.read(["feature", FEATURES]))

    def test_bad_catalogues(self):
        self.good(*self.index())
        whole = (self.folder / "catalogue.sqlite").read_bytes()
        for name, content in (("empty", b""), ("text", b"not a database " * 100), ("cut", whole[:len(whole) // 2]), ("header", whole[:60]),
                              ("zeros", whole[:4096] + bytes(len(whole) - 4096))):
            self.write(name, content)
            self.bad(command.INPUT, name, *self.read(["feature", 1], catalogue=name))
        foreign = sqlite3.connect(self.folder / "foreign")
        foreign.execute("create table notes (text)")
        foreign.commit()
        foreign.close()
        self.bad(command.INPUT, "foreign", *self.read(["feature", 1], catalogue="foreign"))
        self.bad(command.INPUT, "foreign", *self.index(catalogue="foreign"))
        shutil.copy(self.folder / "catalogue.sqlite", self.folder / "future")
        future = sqlite3.connect(self.folder / "future")
        future.execute("pragma user_version = 1000000")
        future.close()
        self.bad(command.INPUT, ["future", "1000000"], *self.read(["feature", 1], catalogue="future"))


if __name__ == "__main__":
    command.main()
