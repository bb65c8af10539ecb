"""Evaluates a dictionary by SAELens's own code and by `fathom eval` on the same tokens, and compares:
    "$(scripts/setup-python.sh | tail -n 1)"/bin/python tests/reference/evaluate.py FATHOM MODEL.gguf DICTIONARY.gguf TEXTS.jsonl

The dictionary is exported by FATHOM (the command) and read by SAELens; the model's weights are dequantised and run by transformers. Both
see the same sequences, each of CONTEXT tokens. Their first token is the same everywhere and occurs nowhere else, so that SAELens can
leave it out by its id as Fathom does by its position. Ends with 1 where a figure of the dictionary differs by more than 1 %; the
losses by themselves are also those of the engine's quantised products, which transformers has not.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import torch
from sae_lens.evals import get_recons_loss, get_sparsity_and_variance_metrics
from sae_lens.load_model import HookedProxyLM
from sae_lens.saes.sae import SAE
from sae_lens.training.activation_scaler import ActivationScaler
from transformers import AutoTokenizer

import real

CONTEXT = 128
BEGINNING = "Text: "
TOLERANCE = 0.01
SERVED = {"loss", "loss with the dictionary", "KL with the dictionary"}  # of the engine's arithmetic too: shown, not judged


def sequences(tokenizer, path, wanted):
    """Texts that are exactly CONTEXT tokens and begin with a token of their own, with those tokens."""
    with open(path) as file:
        for line in file:
            tokens = tokenizer(BEGINNING + json.loads(line)["text"]).input_ids[:CONTEXT]
            text = tokenizer.decode(tokens, skip_special_tokens=True)  # what begins every text is put there by the tokenizer
            if len(tokens) == CONTEXT and tokenizer(text).input_ids == tokens and tokens[0] not in tokens[1:]:
                yield text, tokens
                wanted -= 1
            if wanted == 0:
                return
    raise SystemExit(f"{path}: {wanted} texts too few")


class Batches:
    """What SAELens's evaluation asks of an activation store."""

    def __init__(self, batches):
        self.batches = iter(batches)

    def get_batch_tokens(self, _):
        return next(self.batches)


def by_saelens(model, sae, measured, spliced):
    scaler, first = ActivationScaler(), int(measured[0][0, 0])
    rows, _ = get_sparsity_and_variance_metrics(
        sae,
        model,
        Batches([torch.cat(measured)]),
        scaler,
        n_batches=1,
        compute_l2_norms=True,
        compute_sparsity_metrics=True,
        compute_variance_metrics=True,
        compute_featurewise_density_statistics=False,
        eval_batch_size_prompts=len(measured),
        model_kwargs={},
        ignore_tokens=[first],
    )
    sums = {}
    for tokens in spliced:
        losses = get_recons_loss(sae, model, scaler, tokens, compute_kl=True, compute_ce_loss=True, ignore_tokens=[first])
        for name, values in losses.items():
            sums.setdefault(name, []).append(values[:, : CONTEXT - 1].flatten())
    losses = {name: torch.cat(values).double().mean().item() for name, values in sums.items()}
    clean, own, ablated = (losses["ce_loss_" + name] for name in ("without_sae", "with_sae", "with_ablation"))
    divergence, ablated_divergence = losses["kl_div_with_sae"], losses["kl_div_with_ablation"]
    return {
        "L0": rows["l0"],
        "L1": rows["l1"],
        "FVE": rows["explained_variance"],
        "explained variance, legacy": rows["explained_variance_legacy"],
        "squared error": rows["mse"],
        "cosine": rows["cossim"],
        "length ratio": rows["l2_ratio"],
        "relative bias": rows["relative_reconstruction_bias"],
        "loss": clean,
        "loss with the dictionary": own,
        "CE score": (ablated - own) / (ablated - clean),
        "KL with the dictionary": divergence,
        "KL score": (ablated_divergence - divergence) / ablated_divergence,
    }


class Fathom:
    """`fathom eval` on texts of which the first `rows` measure rows and the others losses; it runs beside SAELens."""

    def __init__(self, command, model, dictionary, texts, rows):
        self.rows, self.spliced = rows, len(texts) - rows
        self.corpus = tempfile.NamedTemporaryFile("w", suffix=".jsonl")
        self.corpus.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        self.corpus.flush()
        self.process = subprocess.Popen(
            [command, "eval", dictionary, "-q", "-m", model, "--corpus", self.corpus.name, "--context", str(CONTEXT), "--json",
             "--tokens", str(rows * (CONTEXT - 1)), "--loss-tokens", str(self.spliced * (CONTEXT - 1))],
            stdout=subprocess.PIPE)  # fmt: skip

    def figures(self):
        found = json.loads(self.process.communicate()[0] or "{}")
        if self.process.returncode:
            raise SystemExit("fathom eval failed")
        if found["rows_left_out"] != self.rows or found["loss_tokens"] != self.spliced * (CONTEXT - 1):
            raise SystemExit("the two did not see the same rows: a row of outlier norm is among them")
        own = found["reconstructions"]["dictionary"]
        return {
            "L0": found["l0"],
            "L1": found["l1"],
            "FVE": own["fve"],
            "explained variance, legacy": own["saebench_explained_variance_legacy"],
            "squared error": own["squared_error"],
            "cosine": own["raw_cosine"],
            "length ratio": own["length_ratio"],
            "relative bias": own["relative_bias"],
            "loss": found["loss"],
            "loss with the dictionary": found["loss"] + own["delta_loss"],
            "CE score": own["recovered_zero_ablation"],
            "KL with the dictionary": own["kl"],
            "KL score": own["kl_recovered_zero_ablation"],
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("dictionary", type=pathlib.Path)
    parser.add_argument("texts", type=pathlib.Path)
    parser.add_argument("--measured", type=int, default=32, help="sequences whose rows are measured (32)")
    parser.add_argument("--spliced", type=int, default=16, help="sequences run with the reconstruction in place (16)")
    arguments = parser.parse_args()
    count, fathom = arguments.measured, arguments.fathom.resolve()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model.parent, gguf_file=arguments.model.name)
    texts, tokens = zip(*sequences(tokenizer, arguments.texts, 2 * count + arguments.spliced), strict=True)
    running = Fathom(fathom, arguments.model, arguments.dictionary, texts, 2 * count)
    batches = [torch.tensor([each]) for each in tokens]
    model, _ = real.load(arguments.model.stem, arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([fathom, "export", arguments.dictionary, "-o", folder], check=True, stdout=subprocess.DEVNULL)
        sae = SAE.load_from_disk(folder, device="cpu")
    layer = gguf.GGUFReader(arguments.dictionary).fields["fathom.dictionary.hook_in"].contents().split(".")[1]
    sae.cfg.metadata.hook_name = f"model.layers.{layer}"
    proxy = HookedProxyLM(model, tokenizer)
    theirs = by_saelens(proxy, sae, batches[count : 2 * count], batches[2 * count :])
    ours = running.figures()
    worst = 0
    print("| figure | SAELens | Fathom | difference |\n|---|---|---|---|")
    for name, value in theirs.items():
        difference = abs(ours[name] / value - 1)
        worst = max(worst, 0 if name in SERVED else difference)
        print(f"| {name} | {value:.5g} | {ours[name]:.5g} | {100 * difference:.2f} % |")
    return worst > TOLERANCE


if __name__ == "__main__":
    sys.exit(main())
