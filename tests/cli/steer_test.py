"""Choosing features by given answers, from the concept's file to the options that turn them again; plans."""
import json
import pathlib
import unittest.mock

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


class Plans(command.Case):
    def run_json(self, *more):
        return json.loads(self.good("run", "-q", "-m", self.llama, "-p", "the stone", "-n", 6, "--temperature", 0,
                                    "--json", *more).out)

    def test_a_plan_steers_what_is_generated(self):
        plain = self.run_json()
        self.assertNotIn("steered", plain)
        nothing = self.run_json("--plan", f"#3 +0 raw dictionary {self.toy}")
        self.assertEqual(nothing["log_probability"], plain["log_probability"])
        self.assertEqual(nothing["steered"]["rows_edited"], 0)
        steered = self.run_json("--plan", f"#3 +9 raw while answering dictionary {self.toy}")
        self.assertNotEqual(steered["log_probability"], plain["log_probability"])
        self.assertEqual(steered["steered"]["rows_edited"], 5)  # the sixth token is drawn from the fifth one's row
        document = steered["steered"]["plan"]
        self.assertEqual(document["edits"][0]["part"], "answer")
        self.write("plan.json", json.dumps(document))
        self.assertEqual(self.run_json("--plan", "plan.json"), {**steered, "tokens_per_second": unittest.mock.ANY})

    def test_options_are_plans_of_one_kind(self):
        shared = ["steer", "-q", "-m", self.llama, "-d", self.toy, "-p", "what is it", "--raw", "-n", 5, "--json"]
        for options, plan in ((["--feature", 3, "--strength", 2], "#3 =2"),
                              (["--feature", 3, "--mode", "add", "--strength", -1.5, "--rows", "answer"],
                               "#3 -1.5 while answering"),
                              (["--feature", 3, "--mode", "ablate"], "#3 ablate"),
                              (["--feature", 3, "--strength", 2, "--layers", "1-3"], "#3@1-3 =2")):
            by_options = json.loads(self.good(*shared, *options).out)
            by_plan = json.loads(self.good(*shared, "--plan", plan).out)
            self.assertEqual(by_options["steered"], by_plan["steered"], plan)
            self.assertEqual(by_plan["subject"]["kind"], "plan")

    def test_a_chat_is_steered(self):
        said = ["chat", "-q", "-m", self.llama, "-p", "one", "-p", "two", "-n", 4, "--temperature", 0, "--json"]
        plain = json.loads(self.good(*said).out)
        steered = json.loads(self.good(*said, "--plan", f"#3 +9 raw dictionary {self.toy}").out)
        self.assertNotEqual([a["log_probability"] for a in plain["answers"]],
                            [a["log_probability"] for a in steered["answers"]])
        self.assertEqual(steered["plan"]["edits"][0]["feature"], 3)

    def test_usage_and_files(self):
        ask = ["steer", "-m", self.llama, "-p", "what is it"]
        self.bad(command.USAGE, "--plan and --strength exclude each other", *ask, "--plan", "#3 +1", "--strength", 1)
        self.bad(command.INPUT, ["--plan", "at the end"], *ask, "--plan", "#3")
        self.write("bad.json", '{"fathom_plan": 1, "edits": [{"rows": "mlp_out.0", "how": "push"}]}')
        self.bad(command.INPUT, ["bad.json: edit 1", "\"push\""], *ask, "--plan", "bad.json")

    def test_the_schema_describes_what_expressions_become(self):
        try:
            import jsonschema
        except ImportError:
            self.skipTest("jsonschema is not installed")
        schema = json.loads((pathlib.Path(__file__).parents[2] / "docs/plan.schema.json").read_text())
        plan = (f"#3@1-2 =1 raw whole while answering and #2 > 0.1 raw over ever dictionary {self.toy};"
                "rows mlp_out@3 patch \"the stone\" from end at -2..-1; layer@2 *0.5 ramp 4")
        document = self.run_json("--plan", plan)["steered"]["plan"]
        jsonschema.validate(document, schema)
        for wrong in ({"how": "add"}, {"feature": 1, "how": "push"}, {"feature": 1, "how": "add", "more": 1}):
            with self.assertRaises(jsonschema.ValidationError):
                jsonschema.validate({"fathom_plan": 1, "edits": [wrong]}, schema)


if __name__ == "__main__":
    command.main()
