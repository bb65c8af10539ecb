"""bench train and bench harvest: what they print, the curve and the rows they write, and rows that do not fit."""
import json
import random
import struct
import sys

import command

WIDTH, BATCH = 8, 64
SMALL = ("--d", WIDTH, "--features", 32, "--k", 4, "--batch", BATCH, "--threads", 1)


class Train(command.Case):
    def rows(self, name, n, width=WIDTH):
        """A safetensors file of n rows, each a few of the same directions."""
        numbers = random.Random(1)
        directions = [[numbers.gauss(0, 1) for _ in range(width)] for _ in range(2 * width)]
        values = []
        for _ in range(n):
            chosen = numbers.sample(directions, 2)
            values += [sum(column) for column in zip(*chosen, strict=True)]
        header = json.dumps({"rows": {"dtype": "F32", "shape": [n, width], "data_offsets": [0, 4 * len(values)]}}).encode()
        path = self.folder / name
        path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(values)}f", *values))
        return path

    def test_random_rows(self):
        result = json.loads(self.good("bench", "train", *SMALL, "--steps", 2, "--dead", "0.25", "--json").out)
        self.assertGreater(result["tokens_per_second"], 0)
        self.assertAlmostEqual(result["dead"], 0.25)
        self.assertEqual(result["data"], "random")
        self.assertEqual(result["l0"], 4)
        self.assertLessEqual(result["active_features"], 32)
        self.assertGreater(result["active_features"], 4)
        if sys.platform == "linux":
            self.assertGreater(result["trainer_bytes"], 3 * 4 * 2 * 32 * WIDTH)

    def test_curve(self):
        path = self.rows("rows.safetensors", 5 * BATCH)
        result = json.loads(self.good("bench", "train", *SMALL, "--data", path, "--curve", "curve.jsonl", "--steps", 300,
                                      "--evaluate-every", 120, "--lr", "0.01", "--json").out)
        self.assertNotIn("trainer_bytes", result)
        points = [json.loads(line) for line in (self.folder / "curve.jsonl").read_text().splitlines()]
        self.assertEqual([point["tokens"] for point in points], [120 * BATCH, 240 * BATCH, 300 * BATCH])
        self.assertTrue(all(0 < point["l0"] <= 4 for point in points))
        self.assertGreater(points[-1]["fve"], 0.8)

    def test_rows_that_do_not_fit(self):
        few = self.rows("few.safetensors", 2 * BATCH - 1)
        self.bad(command.LIMIT, ["few.safetensors", "127 rows", "128"], "bench", "train", *SMALL, "--data", few, "--curve", "curve.jsonl")
        wide = self.rows("wide.safetensors", 2 * BATCH, WIDTH + 1)
        self.bad(command.INPUT, ["wide.safetensors", "8 columns"], "bench", "train", *SMALL, "--data", wide)
        self.bad(command.INPUT, "nowhere/curve.jsonl", "bench", "train", *SMALL, "--data", self.rows("rows.safetensors", 2 * BATCH),
                 "--curve", "nowhere/curve.jsonl")


class Harvest(command.Case):
    def harvest(self, output):
        return ["bench", "harvest", "-q", "-m", self.llama, "--hook", "resid_post.0", "--corpus", self.corpus(), "--context", 32,
                "--tokens", 1024, "-t", 1, "-o", output, "--json"]

    def test_rows_are_written(self):
        self.assertGreater(json.loads(self.good(*self.harvest("rows.safetensors")).out)["tokens_per_second"], 0)
        content = (self.folder / "rows.safetensors").read_bytes()
        size = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + size])
        rows, position = header["rows"], header["position"]
        self.assertEqual(["F32", "I32"], [rows["dtype"], position["dtype"]])
        self.assertEqual(rows["shape"][:1], position["shape"])
        self.assertGreaterEqual(rows["shape"][0], 1024)
        first, last = (8 + size + offset for offset in position["data_offsets"])
        positions = struct.unpack(f"<{(last - first) // 4}i", content[first:last])
        self.assertEqual(0, positions[0])
        self.assertEqual(set(range(32)), set(positions))

    def test_rows_that_cannot_be_written(self):
        self.bad(command.INPUT, "nowhere/rows.safetensors", *self.harvest("nowhere/rows.safetensors"))


if __name__ == "__main__":
    command.main()
