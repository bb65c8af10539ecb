"""Other trainers' dictionaries in and out, and what quantising moves, by the command."""
import json
import pathlib

import command

CASES = pathlib.Path("tests/reference/formats").resolve()
TRANSCODER = CASES / "gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine"


class Formats(command.Case):
    def test_what_was_changed_is_told(self):
        plain = self.good("import", TRANSCODER, "-o", "mlp.gguf")
        self.assertIn("jumprelu of 40 features at blocks.12.mlp.hook_in to blocks.12.hook_mlp_out, with a skip", plain.out)
        self.assertIn("transposed", plain.out)
        told = json.loads(self.good("import", CASES / "openmoss/jumprelu", "-o", "moss.gguf", "--dtype", "bf16", "--json").out)
        self.assertEqual(("openmoss", "jumprelu", 16, 40), tuple(told[key] for key in ("format", "architecture", "d", "features")))
        self.assertEqual(2, len(told["changes"]))

    def test_what_is_left_open_is_asked_for(self):
        folder = self.folder / "nowhere"
        folder.mkdir()
        (folder / "ae.pt").write_bytes((CASES / "dictionary-learning/jumprelu/ae.pt").read_bytes())
        self.bad(command.USAGE, ["nowhere", "name it by hook"], "import", "nowhere", "-o", "out.gguf")
        told = json.loads(self.good("import", "nowhere/ae.pt", "-o", "out.gguf", "--hook", "blocks.5.hook_mlp_out", "--model", "gpt2", "--json").out)
        self.assertEqual("blocks.5.hook_mlp_out", told["hook"])

    def test_refusals(self):
        self.good("import", CASES / "circuit-tracer/clt", "-o", "layers.gguf")
        self.bad(command.INPUT, "sparsify has no cross-layer transcoders", "export", "layers.gguf", "-o", "out", "--format", "sparsify")
        self.bad(command.INPUT, "holds no dictionary that is known", "import", self.folder, "-o", "out.gguf")
        self.bad(command.USAGE, "--format", "import", TRANSCODER, "-o", "out.gguf", "--format", "gguf")
        self.write("evil.pt", pathlib.Path("fuzz/inputs/pickle/system").read_bytes())
        self.bad(command.INPUT, "not a zip archive", "import", "evil.pt", "-o", "out.gguf", "--format", "dictionary-learning")
        self.bad(command.INPUT, "toy.gguf", "export", self.toy, "-o", "out", "--format", "circuit-tracer")
        self.bad(command.USAGE, "--format", "export", self.toy, "-o", "out", "--format", "llama-scope")

    def test_out_and_in(self):
        self.good("import", TRANSCODER, "-o", "one.gguf")
        self.good("export", "one.gguf", "-o", "folder", "-f", "circuit-tracer")
        self.assertEqual({"config.yaml", "layer_12.safetensors"}, {path.name for path in (self.folder / "folder").iterdir()})
        told = json.loads(self.good("import", "folder/layer_12.safetensors", "-o", "two.gguf", "--json").out)
        self.assertEqual(("circuit-tracer", "blocks.12.mlp.hook_in", True), tuple(told[key] for key in ("format", "hook", "skip")))


class Drift(command.Case):
    def drift(self, *arguments, model=None):
        return ("drift", "-q", "-t", 1, "--tokens", 300, "--context", 64, "--json", "-m", model or self.llama, *arguments)

    def test_of_a_type(self):
        corpus = self.corpus()
        told = json.loads(self.good(*self.drift(self.toy, "--dtype", "q8_0", "--corpus", corpus)).out)
        self.assertEqual(300, told["rows"] + told["rows_left_out"])
        self.assertEqual(8, told["active"])
        self.assertTrue(0 <= told["error"] < 0.01 and told["overlap"] > 0.97)
        self.assertEqual(8, len(told["features"]))
        self.assertEqual([], list(self.home.glob("fathom-drift-*")))
        self.good(*self.drift(self.toy, "--dtype", "f16", "-o", "kept.gguf", "--corpus", corpus, "--features", 2))
        again = json.loads(self.good(*self.drift(self.toy, "kept.gguf", "--corpus", corpus, "--features", 2)).out)
        self.assertEqual(2, len(again["features"]))

    def test_of_a_model(self):
        corpus = self.corpus()
        same = json.loads(self.good(*self.drift(self.toy, "--other-model", self.llama, "--corpus", corpus)).out)
        self.assertEqual((0, 1, 0), (same["error"], same["overlap"], same["moved"]))
        other = json.loads(self.good(*self.drift(self.toy, "--other-model", command.files() / "other.gguf", "--corpus", corpus)).out)
        self.assertGreater(other["error"], 0.5)
        with corpus.open("rb") as piped:
            self.bad(command.LIMIT, "read once", *self.drift(self.toy, "--other-model", self.llama, "--corpus", "-"), stdin=piped)

    def test_refusals(self):
        corpus = self.corpus()
        self.bad(command.USAGE, "two dictionaries", *self.drift(self.toy, "--corpus", corpus))
        self.bad(command.USAGE, "two dictionaries", *self.drift(self.toy, self.toy, "--dtype", "f16", "--corpus", corpus))
        self.bad(command.USAGE, "--output", *self.drift(self.toy, self.toy, "-o", "out", "--corpus", corpus))
        self.bad(command.INPUT, ["toy.gguf", "was trained on"], *self.drift(self.toy, "--dtype", "f16", "--corpus", corpus, model=command.files() / "other.gguf"))
        self.bad(command.INPUT, "absent", *self.drift("absent", "--dtype", "f16", "--corpus", corpus))


if __name__ == "__main__":
    command.main()
