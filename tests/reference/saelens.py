"""Makes small SAEs by SAELens's own code, with inputs and what SAELens computes for them, and checks that SAELens
reads what Fathom exports.

    saelens.py make                       writes tests/reference/saelens/<case>/
    saelens.py check FATHOM               exports every case by FATHOM (the command) and compares SAELens's outputs
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
from sae_lens.saes.gated_sae import GatedSAE, GatedSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.saes.sae import SAE, SAEMetadata
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
from sae_lens.saes.matryoshka_batchtopk_sae import MatryoshkaBatchTopKTrainingSAE, MatryoshkaBatchTopKTrainingSAEConfig
from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig
from sae_lens.saes.transcoder import (
    JumpReLUSkipTranscoder,
    JumpReLUSkipTranscoderConfig,
    JumpReLUTranscoder,
    JumpReLUTranscoderConfig,
    SkipTranscoder,
    SkipTranscoderConfig,
    Transcoder,
    TranscoderConfig,
)

HERE = pathlib.Path(__file__).parent / "saelens"
WIDTH, FEATURES, ROWS, ACTIVE, WIDTH_OUT = 24, 80, 40, 6, 16
METADATA = {"model_name": "tiny", "hook_name": "blocks.1.hook_resid_post", "prepend_bos": True}
TRANSCODERS = METADATA | {"hook_name": "blocks.1.mlp.hook_in", "hook_name_out": "blocks.1.hook_mlp_out"}


def fill(sae: torch.nn.Module, generator: torch.Generator) -> None:
    """Weights of uneven size, so that a forgotten norm, bias or transposition shows."""
    with torch.no_grad():
        for name, parameter in sorted(sae.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
            if name == "W_dec":
                parameter.mul_(torch.rand(FEATURES, 1, generator=generator) + 0.5)
            if name == "threshold":
                parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.1)


def record(folder: pathlib.Path, sae: SAE, generator: torch.Generator, scale: float = 1.0) -> None:
    """Inputs, features and reconstructions; `scale` is what the activations are multiplied with beforehand."""
    rows = torch.randn(ROWS, WIDTH, generator=generator) * 2
    with torch.no_grad():
        features = sae.encode(rows * scale)
        output = sae(rows * scale) / scale
    save_file({"input": rows, "features": features.contiguous(), "output": output.contiguous()}, folder / "numbers.safetensors")


def common(**more) -> dict:
    return {"d_in": WIDTH, "d_sae": FEATURES, "metadata": SAEMetadata(**METADATA), **more}


def transcoder(**more) -> dict:
    return {"d_in": WIDTH, "d_out": WIDTH_OUT, "d_sae": FEATURES, "apply_b_dec_to_input": False, "metadata": SAEMetadata(**TRANSCODERS), **more}


def version_5(folder: pathlib.Path, sae: SAE, more: dict) -> None:
    """The flat configuration that SAELens wrote before version 6; the weights are the same."""
    sae.save_model(folder)
    flat = {"architecture": "standard", "d_in": WIDTH, "d_sae": FEATURES, "activation_fn_str": "relu", "activation_fn_kwargs": {},
            "apply_b_dec_to_input": True, "finetuning_scaling_factor": False, "context_size": 128, "model_name": "tiny",
            "hook_name": METADATA["hook_name"], "hook_layer": 1, "hook_head_index": None, "prepend_bos": True, "dataset_path": "none",
            "normalize_activations": "none", "dtype": "torch.float32", "device": "cpu", "sae_lens_training_version": "5.10.0", **more}
    (folder / "cfg.json").write_text(json.dumps(flat))


def make() -> None:
    makers = {
        "standard": lambda: StandardSAE(StandardSAEConfig(**common())),
        "standard-no-b-dec": lambda: StandardSAE(StandardSAEConfig(**common(apply_b_dec_to_input=False))),
        "topk": lambda: TopKSAE(TopKSAEConfig(**common(k=ACTIVE))),
        "topk-rescaled": lambda: TopKSAE(TopKSAEConfig(**common(k=ACTIVE, rescale_acts_by_decoder_norm=True))),
        "jumprelu": lambda: JumpReLUSAE(JumpReLUSAEConfig(**common())),
        "batchtopk": lambda: BatchTopKTrainingSAE(BatchTopKTrainingSAEConfig(**common(k=ACTIVE))),
        "gated": lambda: GatedSAE(GatedSAEConfig(**common())),
        "layer-norm": lambda: StandardSAE(StandardSAEConfig(**common(normalize_activations="layer_norm"))),
        "constant-norm": lambda: JumpReLUSAE(JumpReLUSAEConfig(**common(normalize_activations="constant_norm_rescale"))),
        "transcoder": lambda: Transcoder(TranscoderConfig(**transcoder(normalize_activations="layer_norm"))),
        "skip-transcoder": lambda: SkipTranscoder(SkipTranscoderConfig(**transcoder())),
        "jumprelu-transcoder": lambda: JumpReLUTranscoder(JumpReLUTranscoderConfig(**transcoder())),
        "jumprelu-skip-transcoder": lambda: JumpReLUSkipTranscoder(JumpReLUSkipTranscoderConfig(**transcoder())),
        "matryoshka-in-training": lambda: MatryoshkaBatchTopKTrainingSAE(
            MatryoshkaBatchTopKTrainingSAEConfig(**common(k=ACTIVE, matryoshka_widths=[8, 24, 80], rescale_acts_by_decoder_norm=True))
        ),
    }
    for index, (name, maker) in enumerate(makers.items()):
        generator = torch.Generator().manual_seed(index)
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        sae = maker()
        fill(sae, generator)
        if name in ("batchtopk", "matryoshka-in-training"):
            sae.topk_threshold.fill_(1.25)
            sae.save_inference_model(folder)
        else:
            sae.save_model(folder)
        record(folder, SAE.load_from_disk(folder), generator)
        if name == "matryoshka-in-training":  # what a checkpoint of the same training holds
            sae.save_model(folder)

    generator = torch.Generator().manual_seed(100)
    for name, sae, more in (
        ("version5-standard", StandardSAE(StandardSAEConfig(**common())), {}),
        ("version5-topk", TopKSAE(TopKSAEConfig(**common(k=ACTIVE))), {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": ACTIVE}}),
        ("version5-jumprelu", JumpReLUSAE(JumpReLUSAEConfig(**common())), {"architecture": "jumprelu"}),
    ):
        folder = HERE / name
        fill(sae, generator)
        version_5(folder, sae, more)
        record(folder, SAE.load_from_disk(folder), generator)

    # Activations scaled beforehand: the factor lies beside the weights, as SAELens's training runs leave it.
    folder = HERE / "scaled"
    sae = StandardSAE(StandardSAEConfig(**common(normalize_activations="expected_average_only_in")))
    fill(sae, generator)
    sae.save_model(folder)
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 0.375}))
    record(folder, sae, generator, 0.375)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def check(fathom: str) -> None:
    worst = 0.0
    for folder in sorted(path for path in HERE.iterdir() if (path / "cfg.json").exists()):
        numbers = load_file(folder / "numbers.safetensors")
        with tempfile.TemporaryDirectory() as temporary:
            native, exported = f"{temporary}/native.gguf", f"{temporary}/exported"
            subprocess.run([fathom, "import", str(folder), "-o", native, "--dtype", "f32"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([fathom, "export", native, "-o", exported], check=True, stdout=subprocess.DEVNULL)
            sae = SAE.load_from_disk(exported)
            with torch.no_grad():
                features = sae.encode(numbers["input"])
                output = sae(numbers["input"])
        errors = relative(features, numbers["features"]), relative(output, numbers["output"])
        print(f"{folder.name:20} features {errors[0]:.2e} output {errors[1]:.2e}")
        worst = max(worst, *errors)
    if worst > 1e-4:
        sys.exit(f"the largest relative error is {worst:.2e}; 1e-4 is allowed")


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    elif len(sys.argv) == 3 and sys.argv[1] == "check":
        check(sys.argv[2])
    else:
        sys.exit(__doc__)
