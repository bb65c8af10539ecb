#!/usr/bin/env python3
"""SAELens's own runner from text to dictionary, on the model of a GGUF file: one JSON line with tokens_per_second.

The model's weights are dequantised once into the folder --made, in bf16, with its tokenizer. The clock runs from the runner's start to its
end; loading Python, the model and the text is left out.
"""
import argparse
import json
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "reference"))


def make_model(path, folder):
    import real
    from transformers import AutoTokenizer

    model, _ = real.load(path.stem, str(path))
    partial = folder.with_suffix(".part")
    model.bfloat16().save_pretrained(partial)
    AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name).save_pretrained(partial)
    partial.rename(folder)


def texts(paths):
    """JSONL with a field "text", or plain text; a name may end in .zst."""
    for path in paths:
        opened = open(path, "rb")
        if path.endswith(".zst"):
            import zstandard

            opened = zstandard.ZstdDecompressor().stream_reader(opened)
        rest = b""
        jsonl = ".jsonl" in path
        while block := opened.read(1 << 20):
            *lines, rest = (rest + block).split(b"\n")
            yield from (json.loads(line)["text"] if jsonl else line.decode() for line in lines if line.strip())
        if rest.strip():
            yield json.loads(rest)["text"] if jsonl else rest.decode()


def some(corpus, characters):
    """So much text, again from the beginning where there is less."""
    out = []
    while characters > 0:
        for text in texts(corpus):
            out.append(text)
            characters -= len(text)
            if characters <= 0:
                break
        if not out:
            raise SystemExit("the corpus holds no text")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=pathlib.Path, required=True)
    parser.add_argument("--made", type=pathlib.Path, required=True)
    parser.add_argument("--corpus", nargs="+", required=True)
    for name, value in (("layer", 11), ("features", 16384), ("k", 32), ("batch", 4096), ("threads", 2), ("context", 256)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--tokens", type=int, default=81920)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    from datasets import Dataset
    from sae_lens import LanguageModelSAERunnerConfig, LanguageModelSAETrainingRunner, LoggingConfig
    from sae_lens.saes import TopKTrainingSAEConfig

    if not args.made.exists():
        make_model(args.gguf, args.made)
    characters_a_token = 8  # more than any text has
    config = LanguageModelSAERunnerConfig(
        sae=TopKTrainingSAEConfig(d_in=json.loads((args.made / "config.json").read_text())["hidden_size"],
                                  d_sae=args.features, k=args.k),
        model_name=str(args.made),
        model_class_name="AutoModelForCausalLM",
        model_from_pretrained_kwargs={"dtype": torch.bfloat16},
        hook_name=f"model.layers.{args.layer}",
        dataset_path="",
        is_dataset_tokenized=False,
        streaming=False,
        prepend_bos=True,
        context_size=args.context,
        training_tokens=args.tokens,
        train_batch_size_tokens=args.batch,
        store_batch_size_prompts=8,
        n_batches_in_buffer=16384 // args.context,
        device="cpu",
        checkpoint_path=None,
        output_path=None,
        logger=LoggingConfig(log_to_wandb=False),
        verbose=False,
    )
    dataset = Dataset.from_dict({"text": some(args.corpus, characters_a_token * args.tokens)})
    runner = LanguageModelSAETrainingRunner(config, override_dataset=dataset)
    begin = time.perf_counter()
    runner.run()
    seconds = time.perf_counter() - begin
    print(json.dumps({"tokens_per_second": args.tokens / seconds, "tokens": args.tokens, "seconds": seconds}))


if __name__ == "__main__":
    main()
