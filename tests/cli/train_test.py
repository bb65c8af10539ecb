"""train: every architecture from corpus to file, transcoders, presets, the metrics, and options that do not go together."""
import json
import os
import unittest

import command

ARCHITECTURES = ("topk", "batchtopk", "matryoshka", "standard", "gated", "jumprelu", "jumprelu-tanh")


class Train(command.Case):
    def test_architectures(self):
        for architecture in ARCHITECTURES:
            path = f"{architecture}.gguf"
            run = self.good(*self.train(path, arch=architecture), "--json").out
            result = json.loads(run)["dictionaries"][0]
            self.assertEqual(result["path"], path)
            self.assertEqual(result["architecture"], architecture)
            self.assertGreater(result["l0"], 0)
            self.assertTrue((self.folder / path).exists())

    def test_transcoders(self):
        run = self.train("pair.gguf", hook="mlp_in.0,mlp_in.1", hook_out="mlp_out.0,mlp_out.1", arch="jumprelu")
        results = json.loads(self.good(*run, "--skip", "--json").out)["dictionaries"]
        self.assertEqual([result["hook_out"] for result in results], ["mlp_out.0", "mlp_out.1"])
        measure = ("eval", "pair-mlp_in.1-64-4.gguf", "-q", "-t", 1, "-m", self.llama, "--corpus", self.corpus(documents=120), "--tokens", 1100,
                   "--loss-tokens", 100)
        measured = json.loads(self.good(*measure, "--json").out)
        self.assertEqual(["blocks.1.hook_mlp_out"], [layer["hook_out"] for layer in measured["layers"]])
        self.assertGreaterEqual(measured["loss_tokens"], 100)
        self.assertNotIn("own layer", self.good(*measure).out)
        self.bad(command.USAGE, ["--hook-out mlp_out.0", "as many"], *self.train(hook="mlp_in.0,mlp_in.1", hook_out="mlp_out.0"))
        self.bad(command.USAGE, "skip", *self.train(), "--skip")

    def test_several_architectures(self):
        run = self.train("several.gguf", arch="batchtopk,jumprelu", k="4,8")
        results = json.loads(self.good(*run, "--json").out)["dictionaries"]
        self.assertEqual([(result["architecture"], result["k"]) for result in results],
                         [("batchtopk", 4), ("batchtopk", 8), ("jumprelu", 4), ("jumprelu", 8)])
        self.assertEqual(len({result["fve"] for result in results}), 4)
        alone = json.loads(self.good(*self.train("alone.gguf", arch="jumprelu", k=8), "--json").out)["dictionaries"][0]
        self.assertEqual(alone["fve"], results[3]["fve"])
        self.assertTrue(results[3]["path"].endswith("-jumprelu-64-8.gguf") and (self.folder / results[3]["path"]).exists())
        self.bad(command.USAGE, ["topk is there twice"], *self.train(arch="topk,topk"))
        for wrong in ("topk,", ",topk", "topk,dense"):
            self.bad(command.USAGE, ["--arch", "with commas between", wrong], *self.train(arch=wrong))

    def test_every_layer(self):
        run = self.train("all.gguf", hook="mlp_in.*", hook_out="mlp_out.*", arch="batchtopk")
        results = json.loads(self.good(*run, "--json").out)["dictionaries"]
        layers = len(results)
        self.assertGreater(layers, 1)
        self.assertEqual([(f"mlp_in.{layer}", f"mlp_out.{layer}") for layer in range(layers)], [(result["hook"], result["hook_out"]) for result in results])
        self.assertTrue((self.folder / f"all-mlp_in.{layers - 1}-64-4.gguf").exists())
        self.bad(command.USAGE, ["mlp_in." + str(layers)], *self.train(hook=f"mlp_in.{layers}", hook_out="mlp_out.0"))
        self.bad(command.USAGE, ["--hook-out", "as many"], *self.train(hook="mlp_in.*", hook_out="mlp_out.0"))
        for hook in ("*", "mlp_in*", "mlp_in.*.0", "mlp_in.*+mlp_in.0"):
            self.bad(command.USAGE, ["* stands for all layers"], *self.train(hook=hook))

    def test_cross_layer(self):
        """From corpus to file, measured by layer, out in circuit-tracer's files and in again."""
        run = self.train("cross.gguf", hook="mlp_in.0+mlp_in.1", hook_out="mlp_out.0+mlp_out.1", arch="batchtopk", skip_positions=0, norm_multiple=0)
        trained = json.loads(self.good(*run, "--json").out)["dictionaries"][0]
        self.assertEqual(trained["hook_out"], "mlp_out.0+mlp_out.1")
        measure = ("-q", "-t", 1, "-m", self.llama, "--corpus", self.corpus(documents=120), "--tokens", 1100, "--loss-tokens", 100, "--context", 32)
        measured = json.loads(self.good("eval", "cross.gguf", *measure, "--json").out)
        self.assertEqual([layer["hook_out"] for layer in measured["layers"]], ["blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out"])
        self.assertEqual(measured["layers"][0]["whole"], measured["layers"][0]["own_layer"])
        self.assertGreater(measured["losses"]["whole"]["divergence"], 0)
        self.assertEqual(0, measured["losses"]["mean"]["recovered_mean"])
        out = self.good("eval", "cross.gguf", *measure).out
        self.assertTrue(all(part in out for part in ("blocks.1.hook_mlp_out", "own layer", "at all layers at once", "token_mean")))
        self.bad(command.USAGE, "not for a transcoder", "eval", "cross.gguf", *measure, "--absorption")
        self.good("export", "cross.gguf", "-o", "tracer", "--format", "circuit-tracer")
        self.good("import", "tracer", "-o", "again.gguf")
        again = json.loads(self.good("eval", "again.gguf", *measure, "--json").out)
        for before, after in zip(measured["layers"], again["layers"]):
            self.assertAlmostEqual(before["whole"]["fve"], after["whole"]["fve"], places=5)
        self.bad(command.USAGE, "as many of both", *self.train(hook="mlp_in.0+mlp_in.1", hook_out="mlp_out.0"))

    def test_presets(self):
        for preset in ("april-2024", "gemma-scope", "january-2025"):
            self.good(*self.train(f"{preset}.gguf", preset=preset))
        self.good(*self.train("overridden.gguf", preset="april-2024", arch="gated", lr="1e-3", sparsity=1))

    def test_metrics(self):
        self.good(*self.train(arch="standard", metrics="metrics.jsonl", evaluate_every=2, ema="0.9", schedule="cosine"))
        lines = [json.loads(line) for line in (self.folder / "metrics.jsonl").read_text().splitlines()]
        self.assertTrue(all(line["sparsity"] > 0 for line in lines))
        evaluated = [line["held_out"] for line in lines if "held_out" in line]
        self.assertTrue(evaluated)
        self.assertTrue(all(0 <= point["dense_share"] <= 1 for point in evaluated))

    def test_warnings(self):
        """In the metrics and, unless it is to be quiet, on stderr: most features are not active in the last batch, and count as
        dead after a single row."""
        arguments = self.train(features=512, k=1, metrics="metrics.jsonl", evaluate_every=2, dead_after=1)
        run = self.good(*(argument for argument in arguments if argument != "-q"))
        self.assertIn("features are dead", run.err)
        self.assertEqual("", self.good(*arguments).err)
        self.assertIn('"warning":', (self.folder / "metrics.jsonl").read_text())

    def test_time(self):
        """A limit of no time stops with a checkpoint at every block; what comes out at last is the same."""
        whole = json.loads(self.good(*self.train("whole.gguf"), "--json").out)["dictionaries"][0]
        for _ in range(1000):
            run = self.fathom(*self.train("timed.gguf"), "--max-time", "0.000001s", "--resume", "--json")
            if run.status == command.OK:
                break
            self.assert_refused(run, command.STOPPED, "its time is over")
        timed = json.loads(run.out)["dictionaries"][0]
        self.assertEqual([whole[key] for key in ("fve", "l0", "threshold")], [timed[key] for key in ("fve", "l0", "threshold")])
        self.bad(command.USAGE, ["--max-time 3 weeks", "90s"], *self.train(max_time="3 weeks"))

    def chats(self):
        words = "the bridge and golden gate river wind over a stone".split()
        say = lambda i: " ".join(words[(i * j + j) % len(words)] for j in range(1, 30))
        lines = [json.dumps({"messages": [{"role": "user", "content": say(i)}, {"role": "assistant", "content": say(i + 1)}]})
                 for i in range(40)]
        return self.write("chats.jsonl", "\n".join(lines) + "\n")

    # Templates are rendered in a child process. The sanitizer's allocator leaves its locks in it as other threads held them, where
    # the C library's own does not.
    @unittest.skipIf(os.environ.get("FATHOM_SANITIZE"), "a child of several threads stops in the sanitizer's allocator")
    def test_chats(self):
        skipped = {}
        for side in ("all", "assistant", "user"):
            run = self.good(*self.train(f"{side}.gguf", corpus=f"{self.chats()}=1*", tokens_from=side, dtype="f32"), "--json")
            result = json.loads(run.out)["dictionaries"][0]
            skipped[side] = result["skipped_roles"]
            self.assertEqual(result["tokens"], 896)
            self.assertEqual(result["skipped_special"] > 0, side == "all")
        self.assertEqual(skipped["all"], 0)
        kept = json.loads(self.good(*self.train("kept.gguf", corpus=f"{self.chats()}=1*", tokens_from="all", dtype="f32"), "--keep-special", "--json").out)
        self.assertEqual(kept["dictionaries"][0]["skipped_special"], 0)
        self.assertNotEqual((self.folder / "kept.gguf").read_bytes(), (self.folder / "all.gguf").read_bytes())
        self.assertGreater(skipped["assistant"], 896)
        self.assertGreater(skipped["user"], 896)
        files = {(self.folder / f"{side}.gguf").read_bytes() for side in skipped}
        self.assertEqual(len(files), 3)
        self.assertIn("of others than --tokens-from", self.good(*self.train(corpus=self.chats(), tokens=500, held_out=100, tokens_from="user")).out)
        self.bad(command.INPUT, ['"messages" is missing', "line 1"], *self.train(tokens_from="all"))
        self.bad(command.INPUT, ['"text" is missing'], *self.train(corpus=self.chats()))
        self.bad(command.LIMIT, "too small", *self.train(corpus=self.chats(), tokens=10000, tokens_from="assistant"))

    def test_corpora_that_are_too_small(self):
        self.bad(command.LIMIT, "too small", *self.train(tokens=10000000))

    def test_options_that_do_not_go_together(self):
        self.bad(command.USAGE, ["sparsity", "topk"], *self.train(sparsity=1))
        self.bad(command.USAGE, ["quadratic_l0", "gated"], *self.train(arch="gated"), "--quadratic-l0")
        self.bad(command.USAGE, ["groups", "64"], *self.train(arch="matryoshka", groups="8,8"))
        self.bad(command.USAGE, ["--groups x", "whole numbers"], *self.train(arch="matryoshka", groups="x"))
        self.bad(command.USAGE, "ema", *self.train(ema=1))


if __name__ == "__main__":
    command.main()
