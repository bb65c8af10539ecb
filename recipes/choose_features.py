#!/usr/bin/env python3
"""Chooses features that, held up together, make a model speak of a concept: by gradients, which a running engine does not have.

    "$(scripts/setup-python.sh | tail -n 1)"/bin/python recipes/choose_features.py share/smollm2/demo.json \\
        --model smollm2 --gguf SMOLLM2.gguf --dictionary DICT.gguf --catalogue CATALOGUE.sqlite

The model is the GGUF's own, dequantised to f32 and run by transformers. Candidates are the features that are most active on the texts about
the concept and not on those beside it. The strengths of all of them, in multiples of each feature's maximum, are trained together: the
wanted answers to the questions are to become likely, a plain answer to the same questions is to stay so, and every bit of strength costs
something. The weakest is then left out, and the rest trained again, until so many are left as are asked for. Printed are the log-likelihoods
a token of wanted and plain answers, without steering, and at each number of features; `fathom steer` says what such features do.

Clamping is as in fathom/steer.h: x += (strength * maximum - f(x)) * direction / scale, on every row but those that training left out.
"""

import argparse
import json
import pathlib
import sqlite3
import sys

import gguf
import numpy as np
import torch
from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "reference"))
import real  # noqa: E402

KEY = "fathom.dictionary."
LEAST_MAXIMUM = 1e-3


class Dictionary:
    """W_enc, W_dec and what belongs to them, in the model's own units."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        tensors = {t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32)) for t in reader.tensors}
        scale = float(reader.fields[KEY + "input_scale"].contents())
        self.skip = int(reader.fields[KEY + "skip_positions"].contents())
        self.max_norm = float(reader.fields[KEY + "max_norm"].contents()) if KEY + "max_norm" in reader.fields else float("inf")
        self.layer = int(reader.fields[KEY + "hook_in"].contents().split(".")[1])
        forward, backward = tensors.get("input.transform"), tensors.get("output.transform")
        encoder, decoder, self.subtracted = tensors["encoder.weight"], tensors["decoder.weight"], tensors["decoder.bias"]
        if forward is not None and forward.ndim == 2:
            self.encoder, self.direction = encoder @ forward * scale, decoder @ backward.T / scale
        else:
            one = torch.ones(encoder.shape[1])
            self.encoder = encoder * (one if forward is None else forward) * scale
            self.direction = decoder * (one if backward is None else backward) / scale
        self.bias = tensors["encoder.bias"] - encoder @ self.subtracted
        self.threshold = tensors["threshold"]

    def activations(self, rows, features):
        values = rows @ self.encoder[features].T + self.bias[features]
        return torch.where(values > self.threshold[features], values, torch.zeros(()))

    def covered(self, rows):
        covered = rows.norm(dim=-1) <= self.max_norm
        covered[:, : self.skip] = False
        return covered


class Clamp:
    """Holds features of a layer's output at strengths, as a hook of transformers."""

    def __init__(self, model, dictionary, features, maxima, strengths):
        self.dictionary, self.features, self.maxima, self.strengths = dictionary, features, maxima, strengths
        self.handle = model.model.layers[dictionary.layer].register_forward_hook(self)

    def __call__(self, _module, _inputs, output):
        rows = output[0] if isinstance(output, tuple) else output
        d = self.dictionary
        change = self.strengths * self.maxima - d.activations(rows, self.features)
        held = (self.strengths > 0).float()
        rows = rows + d.covered(rows)[..., None] * ((change * held) @ d.direction[self.features])
        return (rows, *output[1:]) if isinstance(output, tuple) else rows

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handle.remove()


def framed(settings, tokenizer, question):
    if settings["chat"]:
        return tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
    return settings["prefix"] + question + settings["suffix"] + " "


def batch_of(settings, tokenizer, pairs):
    """Token ids of prompts with answers, padded on the right, and which of them are the answers'."""
    rows = []
    for question, answer in pairs:
        prompt = tokenizer(framed(settings, tokenizer, question).rstrip() if not settings["chat"] else framed(settings, tokenizer, question)).input_ids
        whole = prompt + tokenizer((" " if not settings["chat"] else "") + answer, add_special_tokens=False).input_ids
        rows.append((whole, len(prompt)))
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    answer, present = torch.zeros(len(rows), length, dtype=torch.bool), torch.zeros(len(rows), length, dtype=torch.long)
    for i, (tokens, start) in enumerate(rows):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        present[i, : len(tokens)] = 1
        answer[i, start : len(tokens)] = True
    return ids, answer, present


def likelihoods(model, batch):
    """Mean log-likelihood a token of each answer."""
    ids, answer, present = batch
    of_answers = answer[:, 1:]
    hidden = model.model(ids, attention_mask=present).last_hidden_state[:, :-1][of_answers]
    of_next = torch.log_softmax(model.lm_head(hidden), -1).gather(-1, ids[:, 1:][of_answers][:, None])[:, 0]
    owner = torch.arange(len(ids))[:, None].expand_as(of_answers)[of_answers]
    return torch.zeros(len(ids)).index_add(0, owner, of_next) / of_answers.sum(1)


@torch.no_grad()
def plain_answers(settings, model, tokenizer, questions, length):
    pairs = []
    for question in questions:
        prompt = framed(settings, tokenizer, question)
        ids = tokenizer(prompt if settings["chat"] else prompt.rstrip(), return_tensors="pt").input_ids
        made = model.generate(ids, max_new_tokens=length, do_sample=False)[0, ids.shape[1] :]
        text = tokenizer.decode(made, skip_special_tokens=True).split(settings.get("stop", "\0"))[0].strip()
        pairs.append((question, text))
    return pairs


@torch.no_grad()
def rows_of(model, tokenizer, dictionary, texts):
    return [model(tokenizer(t, return_tensors="pt").input_ids, output_hidden_states=True).hidden_states[dictionary.layer + 1][0, 1:] for t in texts]


def candidates(model, tokenizer, dictionary, texts, maxima, n):
    """Features by the sum over texts of their largest activation, in parts of their maximum, about the concept less beside it."""
    everything = torch.arange(len(maxima))
    score = torch.zeros(len(maxima))
    for label in (True, False):
        chosen = [t["text"] for t in texts if t["label"] is label]
        for rows in rows_of(model, tokenizer, dictionary, chosen):
            score += (1 if label else -1) * (dictionary.activations(rows, everything) / maxima).amax(0) / len(chosen)
    score[maxima <= LEAST_MAXIMUM] = 0
    return score.topk(n).indices


def train(model, dictionary, features, maxima, start, batches, options, plain_before):
    raw = torch.nn.Parameter(start.clone())
    optimiser = torch.optim.Adam([raw], lr=options.rate)
    for step in range(options.steps):
        strengths = raw.clamp(min=0)
        with Clamp(model, dictionary, features, maxima[features], strengths):
            wanted, plain = (likelihoods(model, batch) for batch in batches)
        lost = (plain_before - plain).clamp(min=0).mean()
        loss = -wanted.mean() + options.keep * lost + options.cost * strengths.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            raw.clamp_(min=0, max=options.most)
        if step % 10 == 9:
            print(f"  step {step + 1}: wanted {wanted.mean():.3f}, plain {plain.mean():.3f}, strength {strengths.sum():.2f}", flush=True)
    return raw.detach(), wanted.mean().item(), plain.mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("settings", type=pathlib.Path)
    parser.add_argument("--model", required=True, choices=("smollm2", "gemma3"))
    parser.add_argument("--gguf", required=True, type=pathlib.Path)
    parser.add_argument("--dictionary", required=True)
    parser.add_argument("--catalogue", required=True)
    parser.add_argument("--concept", type=pathlib.Path, default=ROOT / "share" / "demo" / "golden_gate.json")
    parser.add_argument("--candidates", type=int, default=48)
    parser.add_argument("--among", type=int, nargs="+", help="choose among these, not among the most active")
    parser.add_argument("--features", type=int, default=4)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--keep", type=float, default=0.3, help="what a nat lost on plain answers costs")
    parser.add_argument("--cost", type=float, default=0.05, help="what a strength of one maximum costs")
    parser.add_argument("--most", type=float, default=2.0, help="largest strength")
    parser.add_argument("--start", type=float, default=0.2)
    parser.add_argument("--densest", type=float, default=1.0, help="share of tokens above which a feature is no candidate: held up, it changes every text")
    options = parser.parse_args()
    torch.manual_seed(0)
    settings = json.loads(options.settings.read_text())["steer"]
    concept = json.loads(options.concept.read_text())
    texts = [json.loads(line) for line in (options.concept.parent / concept["texts"]).read_text().splitlines() if line]
    model, _ = real.load(options.model, options.gguf)
    tokenizer = AutoTokenizer.from_pretrained(options.gguf.parent, gguf_file=options.gguf.name)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    dictionary = Dictionary(options.dictionary)
    maxima = torch.zeros(len(dictionary.bias))
    with sqlite3.connect(f"file:{options.catalogue}?mode=ro", uri=True) as catalogue:
        for number, maximum in catalogue.execute("SELECT number, maximum FROM features WHERE maximum > 0 AND density <= ?", (options.densest,)):
            maxima[number] = maximum
    features = torch.tensor(options.among) if options.among else candidates(
        model, tokenizer, dictionary, texts, maxima.clamp(min=LEAST_MAXIMUM), options.candidates)
    print("candidates:", features.tolist(), flush=True)
    wanted_pairs = [(a["question"], a["answer"]) for a in concept["answers"]]
    plain_pairs = plain_answers(settings, model, tokenizer, concept["questions"] + ["What should I wear to a party?"], 24)
    batches = [batch_of(settings, tokenizer, pairs) for pairs in (wanted_pairs, plain_pairs)]
    with torch.no_grad():
        wanted, plain_before = (likelihoods(model, batch) for batch in batches)
    print(f"without: wanted {wanted.mean():.3f}, plain {plain_before.mean():.3f}", flush=True)
    strengths, left = torch.full((len(features),), options.start), len(features)
    while True:
        strengths, wanted, plain = train(model, dictionary, features, maxima, strengths, batches, options, plain_before)
        order = strengths.argsort(descending=True)
        print(f"{left} features: wanted {wanted:.3f}, plain {plain:.3f}:", [(int(features[i]), round(float(strengths[i]), 2)) for i in order[:8]], flush=True)
        if left <= options.features:
            break
        left = max(options.features, left // 3)
        features, strengths = features[order[:left]], strengths[order[:left]]
    print(json.dumps({"features": [{"feature": int(features[i]), "strength": round(float(strengths[i]), 2)} for i in order]}))


if __name__ == "__main__":
    main()
