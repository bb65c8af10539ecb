"""Choosing features by given answers, from the concept's file to the options that turn them again."""
import json

import command

TEXTS = [("the golden gate bridge over the river", True), ("a golden bridge and a golden gate", True),
         ("the stone and the wind", False), ("a river over a stone", False)]
CONCEPT = {"words": ["bridge"], "texts": "texts.jsonl", "questions": ["what is it"],
           "answers": [{"question": "what is it", "answer": "the bridge"},
                       {"question": "where is it", "answer": "on the golden gate"}]}


class Choosing(command.Case):
    def setUp(self):
        super().setUp()
        self.write("texts.jsonl", "".join(json.dumps({"text": t, "label": l}) + "\n" for t, l in TEXTS))

    def concept(self, **changes):
        return self.write("concept.json", json.dumps({**CONCEPT, **changes}))

    def steer(self, *more):
        return ["steer", "-q", "-m", self.llama, "-d", self.toy, "--concept-file", "concept.json", "-n", 4, *more]

    def test_what_is_chosen_can_be_turned_again(self):
        self.concept()
        shared = ["--raw", "--mode", "add", "--json"]
        chosen = json.loads(self.good(*self.steer("--choose", 2, "--tolerance", 50, *shared)).out)
        choice = chosen["choice"]
        self.assertGreater(choice["after"]["wanted"], choice["before"]["wanted"] + 0.02)
        self.assertEqual(choice["before"]["lost"], 0)
        features = choice["set"]["features"]
        self.assertIn(len(features), (1, 2))
        self.assertEqual(features[0]["feature"], chosen["subject"]["feature"]["feature"])
        others = {item["feature"] for item in choice["control"]["features"]}
        self.assertFalse(others & {item["feature"] for item in features})
        again = json.loads(self.good(*self.steer(*shared[:1], *shared[3:], *choice["options"].split())).out)
        self.assertEqual(chosen["steered"]["answers"], again["steered"]["answers"])
        printed = self.good(*self.steer("--choose", 2, "--tolerance", 50, *shared[:3])).out
        self.assertIn("Again: " + choice["options"] + "\n", printed)

    def test_named_features_are_the_candidates(self):
        self.concept()
        found = json.loads(self.good(*self.steer("--choose", 1, "--raw", "--mode", "add", "--tolerance", 50, "--feature",
                                                 3, "--feature", 5, "--json")).out)
        self.assertEqual({item["feature"] for trial in found["choice"]["trials"] for item in trial["set"]["features"]},
                         {3, 5})

    def test_usage(self):
        self.concept()
        for wrong in (["--search"], ["--mode", "ablate"], ["--contrast", "texts.jsonl", "texts.jsonl"]):
            self.bad(command.USAGE, "--choose takes", *self.steer("--choose", 2, *wrong))
        self.bad(command.USAGE, "--choose takes", "steer", "-m", self.llama, "-d", self.toy, "--choose", 2, "--concept",
                 "bridge", "-p", "what is it")

    def test_files(self):
        for answers, part in (("bridge", "an array of objects"), ([1], "item 1"), ([{"question": "x"}], "item 1"),
                              ([CONCEPT["answers"][0], {"question": "x", "answer": ""}], "item 2")):
            self.concept(answers=answers)
            self.bad(command.INPUT, ["concept.json", "\"answers\"", part], *self.steer("--choose", 2))
        self.concept(answers=[])
        self.bad(command.USAGE, "\"answers\"", *self.steer("--choose", 2))


if __name__ == "__main__":
    command.main()
