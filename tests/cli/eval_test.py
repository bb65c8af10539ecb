"""`fathom eval` by the command: its table, what goes beside it, SAEBench's files, and what it refuses."""
import json

import command


class Eval(command.Case):
    def eval(self, *arguments, dictionary=None):
        return ("eval", dictionary or self.toy, "-q", "-t", 1, "-m", self.llama, "--tokens", 1100, "--loss-tokens", 100,
                "--context", 32, *arguments)

    def labelled(self, name="labelled.jsonl", texts=24):
        lines = (json.dumps({"text": " ".join(["gate" if i % 2 else "stone", "the river", *["wind", "over", "and"] * (1 + i // 2)]),
                             "label": i % 2 == 0}) for i in range(texts))
        return self.write(name, "\n".join(lines) + "\n")

    def test_the_whole_table(self):
        corpus = self.corpus(documents=120)
        self.good("derive", "-m", self.llama, "--shuffle", "-o", "shuffled.gguf", "--seed", 3)
        told = json.loads(self.good(*self.eval("--corpus", corpus, "--json", "--control", command.files() / "toy-topk.gguf", "--shuffled",
                                               "shuffled.gguf", "--probe", self.labelled(), "--each-feature")).out)
        own, control = told["reconstructions"]["dictionary"], told["reconstructions"]["control"]
        self.assertEqual({"dictionary", "as_trained", "control", "untrained", "pca", "neurons", "token_mean", "mean", "zero"},
                         set(told["reconstructions"]))
        self.assertEqual(set(told["reconstructions"]), set(told["shuffled_weights"]))
        self.assertNotEqual(own["fve"], told["shuffled_weights"]["dictionary"]["fve"])
        self.assertNotEqual(own["fve"], control["fve"])
        self.assertEqual(0, told["reconstructions"]["mean"]["recovered_mean_ablation"])
        self.assertEqual(0, told["reconstructions"]["zero"]["kl_recovered_zero_ablation"])
        self.assertIsNone(told["reconstructions"]["zero"]["relative_bias"])
        self.assertEqual(8, sum(told["density_histogram"]))
        self.assertEqual(list(range(8)), [feature["feature"] for feature in told["each_feature"]])
        self.assertAlmostEqual(told["l0"], sum(feature["density"] for feature in told["each_feature"]), places=6)
        self.assertAlmostEqual(0, told["mean_max_decoder_cosine"], places=5)  # the rows are orthogonal
        self.assertEqual(4, round(told["l0_control"]))
        [probe] = told["sparse_probing"]
        self.assertEqual([1, 2, 5], [figures["k"] for figures in probe["features"]])
        self.assertEqual(24, sum(probe["train_negative_positive"] + probe["test_negative_positive"]))
        self.assertTrue(0 <= probe["whole_row"]["auroc"] <= 1 and len(probe["chosen"]) == 5 and len(probe["control"]) == 3)

    def test_for_people(self):
        out = self.good(*self.eval("--corpus", self.corpus(documents=120), "--probe", self.labelled())).out
        for part in ("median FVE", "raw neurons", "divergence", "k features chosen by shuffled labels", "features by density"):
            self.assertIn(part, out)
        self.assertNotIn("the control that was named", out)

    def test_saebench_files(self):
        results = self.home / "results"  # in the folder a name that begins with "core" would be taken for a core file
        told = json.loads(self.good(*self.eval("--corpus", self.corpus(documents=120), "--json", "--saebench", results, "--probe",
                                               self.labelled())).out)
        own = told["reconstructions"]["dictionary"]
        core = json.loads((results / "core/fathom_toy_eval_results.json").read_text())
        self.assertEqual("core", core["eval_type_id"])
        self.assertTrue(core["sae_bench_commit_hash"].startswith("fathom"))
        self.assertRegex(core["eval_id"], "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        metrics = core["eval_result_metrics"]
        self.assertAlmostEqual(told["l0"], metrics["sparsity"]["l0"], places=6)
        self.assertAlmostEqual(own["saebench_explained_variance"], metrics["reconstruction_quality"]["explained_variance"], places=5)
        losses = metrics["model_performance_preservation"]
        clean, ablated, with_sae = (losses["ce_loss_" + name] for name in ("without_sae", "with_ablation", "with_sae"))
        self.assertAlmostEqual(losses["ce_loss_score"], (ablated - with_sae) / (ablated - clean), places=6)
        self.assertEqual(list(range(8)), [feature["index"] for feature in core["eval_result_details"]])
        probing = json.loads((results / "sparse_probing/fathom_toy_eval_results.json").read_text())
        self.assertAlmostEqual(told["sparse_probing"][0]["features"][0]["accuracy"],
                               probing["eval_result_metrics"]["sae"]["sae_top_1_test_accuracy"], places=6)
        self.assertFalse((results / "absorption").exists())

    def test_the_models_own_text(self):
        """Where no corpus is named; a tiny model writes nothing that could be kept, so that its text lies there already."""
        identity = json.loads(self.good("describe", self.llama, "--json").out)["source_identity"]
        own = self.home / f"cache/fathom/derived/{identity}-own-text-{1100 + 100 + 2048}.jsonl"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(self.corpus(documents=120).read_bytes())
        told = json.loads(self.good(*self.eval("--json")).out)
        self.assertEqual((str(own), 550), (told["corpus"], told["rows"]))

    def test_refusals(self):
        corpus, texts = self.corpus(documents=120), self.labelled()
        unlabelled = self.write("unlabelled.jsonl", '{"text": "the river"}\n')
        few = self.labelled("few.jsonl", texts=18)
        other = command.files() / "toy-other.gguf"
        self.bad(command.INPUT, ["unlabelled.jsonl", "label"], *self.eval("--corpus", corpus, "--probe", unlabelled))
        self.bad(command.USAGE, "at least 10 texts of each class", *self.eval("--corpus", corpus, "--probe", few))
        self.bad(command.INPUT, "toy-other.gguf", *self.eval("--corpus", corpus, "--control", other))
        self.bad(command.INPUT, "toy-other.gguf", *self.eval("--corpus", corpus, "--probe", texts, dictionary=other))
        self.bad(command.INPUT, "gemma3.gguf", *self.eval("--corpus", corpus, "--shuffled", self.gemma))
        self.bad(command.LIMIT, "absorption: the vocabulary", *self.eval("--corpus", corpus, "--absorption"))
        self.bad(command.LIMIT, "rows; 512 are needed", *self.eval("--corpus", self.corpus("small.jsonl", documents=5)))
        self.bad(command.INPUT, "nowhere.sqlite", *self.eval("--corpus", corpus, "--catalogue", "nowhere.sqlite"))
        self.bad(command.INPUT, "nowhere.gguf", *self.eval("--corpus", corpus, "--control", "nowhere.gguf"))
        self.bad(command.USAGE, "belong together", "derive", "-m", self.llama, "--shuffle")
        self.bad(command.USAGE, "belong together", "derive", "-m", self.llama, "-o", "out.gguf")
        self.bad(command.USAGE, "--layers does not go", "derive", "-m", self.llama, "--shuffle", "-o", "out.gguf", "--layers", 2)


if __name__ == "__main__":
    command.main()
