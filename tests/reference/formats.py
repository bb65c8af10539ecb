"""Makes small dictionaries in the formats of other trainers by the trainers' own code, with inputs and what that code
computes for them, and checks that those trainers read what Fathom exports.

    formats.py make [--openai DIR] [--openmoss DIR]      writes tests/reference/formats/<case>/
    formats.py check FATHOM [--openai DIR] [--openmoss DIR]
                                                         exports by FATHOM (the command) and compares the peers' outputs

dictionary_learning, sparsify and circuit-tracer are installed without their dependencies into the cache, once: what they
need for training is not imported. --openai and --openmoss name checkouts of openai/sparse_autoencoder and of
OpenMOSS/Language-Model-SAEs, whose cases are made only where they are given. Gemma Scope's files have no writer in
public: they are written by their layout and read by SAELens's and circuit-tracer's loaders.
"""

import argparse
import importlib
import importlib.machinery
import importlib.util
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import types

import numpy
import torch
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent / "formats"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "fathom" / "formats-peers"
PEERS = ["circuit-tracer==0.5.0", "dictionary-learning==0.1.0", "eai-sparsify==1.3.3"]
WIDTH, FEATURES, ROWS, ACTIVE, LAYERS = 16, 40, 12, 4, 3


class Anything(types.ModuleType):
    """Stands for a module that a peer imports and that nothing here uses."""

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def stand_in(*names: str) -> None:
    for name in names:
        whole = name.split(".")
        for i in range(1, len(whole) + 1):
            part = ".".join(whole[:i])
            if part not in sys.modules and (i > 1 or importlib.util.find_spec(part) is None):
                sys.modules[part] = Anything(part)
                sys.modules[part].__path__ = []
                sys.modules[part].__spec__ = importlib.machinery.ModuleSpec(part, None)


def peers() -> None:
    if not CACHE.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(CACHE), *PEERS], check=True)
    sys.path.append(str(CACHE))
    stand_in("nnsight", "wandb", "zstandard", "circuitsvis", "umap", "llvmlite", "natsort", "schedulefree", "simple_parsing", "accelerate")


def fill(module: torch.nn.Module, generator: torch.Generator) -> None:
    """Weights of uneven size, so that a forgotten norm, bias or transposition shows; kept in the layout they have."""
    with torch.no_grad():
        for name, parameter in sorted(module.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
            if "threshold" in name:
                parameter.copy_(torch.rand(parameter.shape, generator=generator))
            if name in ("W_dec", "W_D"):
                parameter.mul_(torch.rand(parameter.shape[0], 1, generator=generator) + 0.5)
            if name == "decoder.weight":
                parameter.mul_(torch.rand(1, parameter.shape[1], generator=generator) + 0.5)


def rows(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(ROWS, WIDTH, generator=generator) * 2 + 0.3


def record(folder: pathlib.Path, **tensors: torch.Tensor) -> None:
    save_file({name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}, folder / "numbers.safetensors")


def folder_of(name: str) -> pathlib.Path:
    folder = HERE / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def dictionary_classes() -> dict[str, type]:
    from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    classes = (AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder, AutoEncoderTopK, BatchTopKSAE, MatryoshkaBatchTopKSAE)
    return {one.__name__: one for one in classes}


def dictionary_learning() -> None:
    classes = dictionary_classes()
    generator = torch.Generator().manual_seed(1)
    for name, class_name, more in (
        ("plain", "AutoEncoder", ()),
        ("new", "AutoEncoderNew", ()),
        ("gated", "GatedAutoEncoder", ()),
        ("jumprelu", "JumpReluAutoEncoder", ()),
        ("topk", "AutoEncoderTopK", (ACTIVE,)),
        ("batchtopk", "BatchTopKSAE", (ACTIVE,)),
        ("matryoshka", "MatryoshkaBatchTopKSAE", (ACTIVE, [5, 10, 25])),
    ):
        ae = classes[class_name](WIDTH, FEATURES, *more)
        folder = folder_of(f"dictionary-learning/{name}")
        fill(ae, generator)
        if name in ("batchtopk", "matryoshka"):
            ae.threshold.fill_(1.5)
        trainer = {"dict_class": type(ae).__name__, "activation_dim": WIDTH, "dict_size": FEATURES, "layer": 3, "lm_name": "tiny", "submodule_name": "resid_post_layer_3"}
        (folder / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {"ctx_len": 128, "io": "out"}}))
        torch.save(ae.state_dict(), folder / "ae.pt")
        x = rows(generator)
        with torch.no_grad():
            features = ae.encode(x)
            record(folder, input=x, features=features, output=ae.decode(features))


def sparse_coder() -> tuple[type, type]:
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    for part in ("data", "trainer"):
        sys.modules[f"sparsify.{part}"] = Anything(f"sparsify.{part}")
    return importlib.import_module("sparsify.sparse_coder").SparseCoder, importlib.import_module("sparsify.config").SparseCoderConfig


def sparsify() -> None:
    coder, config = sparse_coder()

    generator = torch.Generator().manual_seed(2)
    for name, more in (
        ("sae/layers.3", {}),
        ("groupmax/layers.3", {"activation": "groupmax"}),
        ("transcoder/layers.3.mlp", {"transcode": True, "skip_connection": True}),
    ):
        folder = folder_of(f"sparsify/{name}")
        sae = coder(WIDTH, config(num_latents=FEATURES, k=ACTIVE, **more))
        fill(sae, generator)
        sae.save_to_disk(folder)
        (folder.parent / "config.json").write_text(json.dumps({"model": "tiny"}))
        x = rows(generator)
        with torch.no_grad():
            acts, indices, _ = sae.encode(x)
            features = torch.zeros(ROWS, FEATURES).scatter_(1, indices, acts)
            record(folder, input=x, features=features, output=sae(x).sae_out)


def circuit_tracer() -> None:
    from circuit_tracer.transcoder.activation_functions import JumpReLU
    from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, load_relu_transcoder

    generator = torch.Generator().manual_seed(3)
    for name, activation, skip in (
        ("relu-skip", torch.nn.functional.relu, True),
        ("jumprelu", JumpReLU(torch.rand(FEATURES, generator=generator), 0.1), False),
    ):
        folder = folder_of(f"circuit-tracer/{name}")
        made = SingleLayerTranscoder(WIDTH, FEATURES, activation, 2, skip_connection=skip, dtype=torch.float32, device="cpu")
        fill(made, generator)
        made.to_safetensors(str(folder / "layer_2.safetensors"))
        hooks = "feature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n" if skip else 'feature_input_hook: "hook_resid_mid" # raw\nfeature_output_hook: hook_mlp_out\n'
        (folder / "config.yaml").write_text(f"model_name: tiny\nmodel_kind: transcoder_set\n{hooks}scan: tiny\n")
        transcoder = load_relu_transcoder(str(folder / "layer_2.safetensors"), 2, device=torch.device("cpu"))
        x = rows(generator)
        with torch.no_grad():
            features = transcoder.encode(x)
            record(folder, input=x, features=features, output=transcoder.decode(features, x))


def record_layers(folder: pathlib.Path, clt: torch.nn.Module, generator: torch.Generator) -> None:
    """Rows of a cross-layer transcoder: all layers of a token, one after another."""
    x = torch.stack([rows(generator) for _ in range(LAYERS)])
    with torch.no_grad():
        features = clt.encode(x)
        record(folder, input=side_by_side(x), features=side_by_side(features), output=side_by_side(clt.decode(features.to_sparse())))


def side_by_side(layers: torch.Tensor) -> torch.Tensor:
    """[layers, rows, n] as [rows, layers * n], and back."""
    return layers.transpose(0, 1).flatten(1)


def apart(joined: torch.Tensor) -> torch.Tensor:
    return joined.unflatten(1, (LAYERS, -1)).transpose(0, 1)


def cross_layer() -> None:
    from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder, load_clt, load_gemma_scope_2_clt

    generator = torch.Generator().manual_seed(9)
    for name, activation, hook in (("clt", "relu", "hook_resid_mid"), ("clt-jumprelu", "jump_relu", "mlp.hook_in")):
        folder = folder_of(f"circuit-tracer/{name}")
        made = CrossLayerTranscoder(LAYERS, FEATURES, WIDTH, activation, lazy_decoder=False, dtype=torch.float32, device="cpu")
        fill(made, generator)
        made.to_safetensors(str(folder))
        (folder / "config.yaml").write_text(f"model_name: tiny\nmodel_kind: cross_layer_transcoder\nfeature_input_hook: {hook}\nfeature_output_hook: hook_mlp_out\nscan: tiny\n")
        record_layers(folder, load_clt(str(folder), device=torch.device("cpu"), dtype=torch.float32, lazy_decoder=False), generator)

    folder, paths = folder_of("gemma-scope-2/clt"), {}
    for layer in range(LAYERS):
        decoder = torch.randn(FEATURES, LAYERS, WIDTH, generator=generator) * 0.5
        decoder[:, :layer] = 0
        tensors = {
            "w_enc": torch.randn(WIDTH, FEATURES, generator=generator) * 0.5, "w_dec": decoder, "b_enc": torch.randn(FEATURES, generator=generator),
            "b_dec": torch.randn(WIDTH, generator=generator), "threshold": torch.rand(FEATURES, generator=generator) * 2,
        }
        paths[layer] = str(folder / f"params_layer_{layer}.safetensors")
        save_file(tensors, paths[layer])
    paths[LAYERS] = ""  # the loader leaves out the last of its paths
    record_layers(folder, load_gemma_scope_2_clt(paths, device=torch.device("cpu"), dtype=torch.float32), generator)


def gemma_scope() -> None:
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
    from circuit_tracer.transcoder.single_layer_transcoder import load_gemma_scope_transcoder

    generator = torch.Generator().manual_seed(4)

    def params() -> dict[str, torch.Tensor]:
        return {
            "W_enc": torch.randn(WIDTH, FEATURES, generator=generator) * 0.5, "W_dec": torch.randn(FEATURES, WIDTH, generator=generator) * 0.5,
            "b_enc": torch.randn(FEATURES, generator=generator), "b_dec": torch.randn(WIDTH, generator=generator), "threshold": torch.rand(FEATURES, generator=generator) * 2,
        }

    place = "gemma-scope/gemma-scope-2b-pt-res/layer_5/width_16k/average_l0_7"
    folder = folder_of(place)
    numpy.savez(folder / "params.npz", **{name: tensor.numpy() for name, tensor in params().items()})
    loaders.hf_hub_download = lambda repo_id, filename, **_: str(folder / filename)
    config, state, _ = loaders.gemma_2_sae_huggingface_loader("google/gemma-scope-2b-pt-res", place)
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=WIDTH, d_sae=FEATURES, apply_b_dec_to_input=config["apply_b_dec_to_input"]))
    sae.load_state_dict(state)
    x = rows(generator)
    with torch.no_grad():
        features = sae.encode(x)
        record(folder, input=x, features=features, output=sae.decode(features))

    folder = folder_of("gemma-scope/gemma-scope-2b-pt-transcoders/layer_5/width_16k/average_l0_7")
    numpy.savez_compressed(folder / "params.npz", **{name: tensor.numpy() for name, tensor in params().items()})
    transcoder = load_gemma_scope_transcoder(str(folder / "params.npz"), 5, device=torch.device("cpu"), dtype=torch.float32)
    x = rows(generator) * 30
    normed = x / (x.pow(2).mean(-1, keepdim=True) + 1e-6).sqrt()  # ln2.hook_normalized: before the norm's gain
    with torch.no_grad():
        features = transcoder.encode(normed)
        record(folder, input=x, features=features, output=transcoder.decode(features))


def gemma_scope_2() -> None:
    from circuit_tracer.transcoder.single_layer_transcoder import load_gemma_scope_2_transcoder

    generator = torch.Generator().manual_seed(5)
    for name, config in (
        ("transcoder/layer_12_width_16k_l0_small_affine", {
            "architecture": "jump_relu", "model_name": "gemma-v3-270m-pt", "affine_connection": True, "hf_hook_point_in": "model.layers.12.pre_feedforward_layernorm.output",
            "hf_hook_point_out": "model.layers.12.post_feedforward_layernorm.output", "width": FEATURES, "l0": 10, "type": "transcoder"}),
        ("attn_out/layer_12_width_16k_l0_small", None),
    ):
        folder = folder_of(f"gemma-scope-2/{name}")
        tensors = {
            "w_enc": torch.randn(WIDTH, FEATURES, generator=generator) * 0.5, "w_dec": torch.randn(FEATURES, WIDTH, generator=generator) * 0.5,
            "b_enc": torch.randn(FEATURES, generator=generator), "b_dec": torch.randn(WIDTH, generator=generator), "threshold": torch.rand(FEATURES, generator=generator) * 2,
        }
        if config:
            tensors["affine_skip_connection"] = torch.randn(WIDTH, WIDTH, generator=generator)
            (folder / "config.json").write_text(json.dumps(config))
        save_file(tensors, folder / "params.safetensors")
        transcoder = load_gemma_scope_2_transcoder(str(folder / "params.safetensors"), 12, device=torch.device("cpu"))
        x = rows(generator)
        with torch.no_grad():
            features = transcoder.encode(x)
            record(folder, input=x, features=features, output=transcoder.decode(features, x))


def openai_code(checkout: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("openai_model", pathlib.Path(checkout) / "sparse_autoencoder" / "model.py")
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    return model


def openai(checkout: str) -> None:
    model = openai_code(checkout)
    generator = torch.Generator().manual_seed(6)
    for name, activation in (("gpt2-small/resid_post_mlp_v5_32k/autoencoders/8", model.TopK(ACTIVE)), ("gpt2-small/mlp_post_act/autoencoders/0", torch.nn.ReLU())):
        path = HERE / "openai" / f"{name}.pt"
        folder_of(f"openai/{path.parent.relative_to(HERE / 'openai')}")
        made = model.Autoencoder(FEATURES, WIDTH, activation=activation)
        fill(made, generator)
        torch.save(made.state_dict(), path)
        ae = model.Autoencoder.from_state_dict(torch.load(path), strict=False)  # TopK keeps its k twice
        x = rows(generator)
        with torch.no_grad():
            features, info = ae.encode(x)
            record(path.parent, input=x, features=features, output=ae.decode(features, info))


def openmoss_code(checkout: str) -> types.ModuleType:
    sys.path.append(str(pathlib.Path(checkout) / "src"))
    # The package's own front imports everything there is; its models need little of it.
    for package in ("llamascopium", "llamascopium.models"):
        module = types.ModuleType(package)
        module.__path__ = [str(pathlib.Path(checkout) / "src" / package.replace(".", "/"))]
        sys.modules[package] = module
    sae = importlib.import_module("llamascopium.models.sae")
    importlib.import_module("llamascopium.models.sparse_dictionary").version = lambda package: "a checkout"
    return sae


def openmoss(checkout: str) -> None:
    sae = openmoss_code(checkout)
    generator = torch.Generator().manual_seed(7)
    place = "blocks.4.hook_resid_post"
    for name, more in (
        ("jumprelu", {"act_fn": "jumprelu", "norm_activation": "dataset-wise"}),
        ("topk", {"act_fn": "topk", "top_k": ACTIVE, "norm_activation": "token-wise"}),
        ("transcoder", {"act_fn": "relu", "norm_activation": "dataset-wise", "hook_point_in": "blocks.4.mlp.hook_in", "hook_point_out": "blocks.4.hook_mlp_out"}),
        ("batchtopk", {"act_fn": "batchtopk", "norm_activation": "inference"}),
    ):
        folder = folder_of(f"openmoss/{name}")
        cfg = sae.SAEConfig(**{"hook_point_in": place, "hook_point_out": place, "d_model": WIDTH, "expansion_factor": FEATURES / WIDTH, "device": "cpu", "dtype": torch.float32, **more})
        model = sae.SparseAutoEncoder(cfg)
        fill(model, generator)
        if cfg.norm_activation == "dataset-wise":
            model.set_dataset_average_activation_norm({cfg.hook_point_in: 3.0, cfg.hook_point_out: 5.0 if name == "transcoder" else 3.0})
        model.save_pretrained(folder)
        model.cfg.save_hyperparameters(folder)
        if name == "batchtopk":
            continue
        x = rows(generator)
        with torch.no_grad():
            batch = {cfg.hook_point_in: x, cfg.hook_point_out: x}
            features = model.encode(model.normalize_activations(batch)[cfg.hook_point_in])
            output = model.decode(features) / model.compute_norm_factor(x, cfg.hook_point_out)
            if name == "topk":  # Fathom's activations are times the decoder norm there
                features = features * model.decoder_norm()
            record(folder, input=x, features=features, output=output)
    openmoss_layers()


def openmoss_layers() -> None:
    """Cross-layer transcoders, of layers whose average norms differ."""
    clt = importlib.import_module("llamascopium.models.clt")
    generator = torch.Generator().manual_seed(10)
    names_in, names_out = ([f"blocks.{layer}.{hook}" for layer in range(LAYERS)] for hook in ("hook_resid_mid", "hook_mlp_out"))
    for name, more in (
        ("clt-jumprelu", {"act_fn": "jumprelu", "norm_activation": "dataset-wise"}),
        ("clt-topk", {"act_fn": "layertopk", "top_k": ACTIVE, "norm_activation": "dataset-wise"}),
        ("clt-relu", {"act_fn": "relu", "norm_activation": "inference", "sparsity_include_decoder_norm": False, "use_decoder_bias": False}),
        ("clt-batchtopk", {"act_fn": "batchtopk", "norm_activation": "inference"}),
    ):
        folder = folder_of(f"openmoss/{name}")
        cfg = clt.CLTConfig(hook_points_in=names_in, hook_points_out=names_out, d_model=WIDTH, expansion_factor=FEATURES / WIDTH, device="cpu", dtype=torch.float32, **more)
        model = clt.CrossLayerTranscoder(cfg)
        fill(model, generator)
        if cfg.norm_activation == "dataset-wise":
            model.set_dataset_average_activation_norm({hook: 2.0 + i for i, hook in enumerate(names_in + names_out)})
        model.save_pretrained(folder)
        model.cfg.save_hyperparameters(folder)
        if name == "clt-batchtopk":
            continue
        x = torch.stack([rows(generator) for _ in range(LAYERS)])
        with torch.no_grad():
            batch = model.normalize_activations(dict(zip(names_in, x, strict=True)))
            features = model.encode(model.prepare_input(batch)[0])
            output = model.decode(features) / torch.stack([model.compute_norm_factor(x, hook) for hook in names_out])[:, None, None]
            if name == "clt-topk":  # Fathom's activations are times the decoder norm there
                features = features * model.decoder_norm_per_feature()
            record(folder, input=side_by_side(x), features=features.flatten(1), output=side_by_side(output))


def llama_scope() -> None:
    """By the publisher's own steps (lm-saes of November 2024): standardise, make unit decoder rows, then jump."""
    generator = torch.Generator().manual_seed(8)
    folder = folder_of("llama-scope/Llama3_1-8B-Base-L4R-8x")
    (folder / "checkpoints").mkdir(exist_ok=True)
    place, theta, norms = "blocks.4.hook_resid_post", 0.8, {"in": 3.0, "out": 3.0}
    (folder / "hyperparams.json").write_text(json.dumps({
        "d_model": WIDTH, "d_sae": FEATURES, "act_fn": "topk", "top_k": ACTIVE, "jump_relu_threshold": theta, "dataset_average_activation_norm": norms, "use_decoder_bias": True,
        "apply_decoder_bias_to_pre_encoder": False, "sparsity_include_decoder_norm": True, "norm_activation": "dataset-wise", "hook_point_in": place, "hook_point_out": place}))
    encoder, bias = torch.randn(FEATURES, WIDTH, generator=generator), torch.randn(FEATURES, generator=generator)
    decoder, out = torch.randn(WIDTH, FEATURES, generator=generator), torch.randn(WIDTH, generator=generator)
    weights = {"encoder.weight": encoder, "encoder.bias": bias, "decoder.weight": decoder, "decoder.bias": out}
    weights = {name: tensor.bfloat16() for name, tensor in weights.items()}
    save_file(weights, folder / "checkpoints" / "final.safetensors")
    encoder, bias, decoder, out = (tensor.float() for tensor in weights.values())
    scale = math.sqrt(WIDTH) / norms["in"]
    bias, out = bias / scale, out / scale
    lengths = decoder.norm(dim=0)
    x = rows(generator)
    pre = x @ (encoder * lengths[:, None]).T + bias * lengths
    features = torch.where(pre > theta, pre, 0)
    record(folder, input=x, features=features, output=features @ (decoder / lengths).T + out)


def make(arguments: argparse.Namespace) -> None:
    peers()
    for maker in (dictionary_learning, sparsify, circuit_tracer, cross_layer, gemma_scope, gemma_scope_2, llama_scope):
        maker()
    if arguments.openai:
        openai(arguments.openai)
    if arguments.openmoss:
        openmoss(arguments.openmoss)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


def check(arguments: argparse.Namespace) -> None:
    """What Fathom exports, read by the peers: the features and outputs of the case it was imported from."""
    peers()
    from circuit_tracer.transcoder.cross_layer_transcoder import load_clt, load_gemma_scope_2_clt
    from circuit_tracer.transcoder.single_layer_transcoder import load_gemma_scope_2_transcoder, load_gemma_scope_transcoder, load_relu_transcoder
    from sae_lens import SAE

    coder, _ = sparse_coder()

    def by_saelens(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sae = SAE.load_from_disk(folder)
        return sae.encode(x), sae(x)

    def by_sparsify(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sae = coder.load_from_disk(folder)
        acts, indices, _ = sae.encode(x)
        return torch.zeros(ROWS, FEATURES).scatter_(1, indices, acts), sae(x).sae_out

    def by_circuit_tracer(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        path = next(pathlib.Path(folder).glob("layer_*.safetensors"))
        transcoder = load_relu_transcoder(str(path), 0, device=torch.device("cpu"))
        features = transcoder.encode(x)
        return features, transcoder.decode(features, x)

    def by_cross_layer(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        clt = load_clt(folder, device=torch.device("cpu"), dtype=torch.float32, lazy_decoder=False)
        features = clt.encode(apart(x))
        return side_by_side(features), side_by_side(clt.decode(features.to_sparse()))

    def by_gemma_scope(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        transcoder = load_gemma_scope_transcoder(f"{folder}/params.npz", 0, device=torch.device("cpu"), dtype=torch.float32)
        features = transcoder.encode(x)
        return features, transcoder.decode(features)

    def by_gemma_scope_2(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        transcoder = load_gemma_scope_2_transcoder(f"{folder}/params.safetensors", 0, device=torch.device("cpu"))
        features = transcoder.encode(x)
        return features, transcoder.decode(features, x)

    def by_gemma_scope_2_layers(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        paths = {layer: f"{folder}/params_layer_{layer}.safetensors" for layer in range(LAYERS)} | {LAYERS: ""}  # the last is left out
        clt = load_gemma_scope_2_clt(paths, device=torch.device("cpu"), dtype=torch.float32)
        features = clt.encode(apart(x))
        return side_by_side(features), side_by_side(clt.decode(features.to_sparse()))

    def by_openmoss(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        model = sae.SparseAutoEncoder.from_pretrained(folder)
        scale = model.compute_norm_factor(x, model.cfg.hook_point_in)
        features = model.encode(x * scale)
        return features, model.decode(features) / scale

    def by_openmoss_layers(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        model = importlib.import_module("llamascopium.models.clt").CrossLayerTranscoder.from_pretrained(folder)
        features = model.encode(x.unflatten(1, (LAYERS, -1)))
        return features.flatten(1), side_by_side(model.decode(features))

    def by_dictionary_learning(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        name = json.loads((pathlib.Path(folder) / "config.json").read_text())["trainer"]["dict_class"]
        dictionary = dictionary_classes()[name].from_pretrained(f"{folder}/ae.pt")  # torch.load with weights_only
        return dictionary.encode(x), dictionary(x)

    def by_openai(folder: str, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        path = next(pathlib.Path(folder).glob("*/autoencoders/*.pt"))
        autoencoder = openai_code(arguments.openai).Autoencoder.from_state_dict(torch.load(path, weights_only=True))
        features, info = autoencoder.encode(x)
        return features, autoencoder.decode(features, info)

    openai_cases = ()
    if arguments.openai:
        openai_cases = (
            ("openai/gpt2-small/resid_post_mlp_v5_32k/autoencoders", "8.pt", "openai", by_openai),
            ("openai/gpt2-small/mlp_post_act/autoencoders", "0.pt", "openai", by_openai),
            ("dictionary-learning/new", "", "openai", by_openai),
        )
    openmoss_cases = ()
    if arguments.openmoss:
        sae = openmoss_code(arguments.openmoss)
        openmoss_cases = (
            ("openmoss/jumprelu", "", "openmoss", by_openmoss),
            ("openmoss/topk", "", "openmoss", by_openmoss),
            ("openmoss/transcoder", "", "openmoss", by_openmoss),
            ("dictionary-learning/batchtopk", "", "openmoss", by_openmoss),
            ("openmoss/clt-jumprelu", "", "openmoss", by_openmoss_layers),
            ("openmoss/clt-topk", "", "openmoss", by_openmoss_layers),
            ("circuit-tracer/clt", "", "openmoss", by_openmoss_layers),
            ("gemma-scope-2/clt", "", "openmoss", by_openmoss_layers),
        )
    worst = 0.0
    for case, source, format_name, reader in (
        *openmoss_cases,
        *openai_cases,
        *((f"dictionary-learning/{kind}", "", "dictionary-learning", by_dictionary_learning)
          for kind in ("plain", "new", "gated", "jumprelu", "topk", "batchtopk", "matryoshka")),
        ("openmoss/jumprelu", "", "dictionary-learning", by_dictionary_learning),
        ("dictionary-learning/gated", "", "saelens", by_saelens),
        ("dictionary-learning/batchtopk", "", "saelens", by_saelens),
        ("circuit-tracer/relu-skip", "layer_2.safetensors", "saelens", by_saelens),
        ("gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine", "", "saelens", by_saelens),
        ("dictionary-learning/topk", "", "sparsify", by_sparsify),
        ("sparsify/sae/layers.3", "", "sparsify", by_sparsify),
        ("sparsify/groupmax/layers.3", "", "sparsify", by_sparsify),
        ("sparsify/transcoder/layers.3.mlp", "", "sparsify", by_sparsify),
        ("circuit-tracer/relu-skip", "layer_2.safetensors", "circuit-tracer", by_circuit_tracer),
        ("circuit-tracer/jumprelu", "layer_2.safetensors", "circuit-tracer", by_circuit_tracer),
        ("gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine", "", "circuit-tracer", by_circuit_tracer),
        ("circuit-tracer/clt", "", "circuit-tracer", by_cross_layer),
        ("circuit-tracer/clt-jumprelu", "", "circuit-tracer", by_cross_layer),
        ("gemma-scope-2/clt", "", "circuit-tracer", by_cross_layer),
        ("gemma-scope/gemma-scope-2b-pt-res/layer_5/width_16k/average_l0_7", "", "gemma-scope", by_gemma_scope),
        ("dictionary-learning/batchtopk", "", "gemma-scope", by_gemma_scope),
        ("dictionary-learning/plain", "", "gemma-scope", by_gemma_scope),
        ("gemma-scope-2/transcoder/layer_12_width_16k_l0_small_affine", "", "gemma-scope-2", by_gemma_scope_2),
        ("gemma-scope-2/attn_out/layer_12_width_16k_l0_small", "", "gemma-scope-2", by_gemma_scope_2),
        ("dictionary-learning/batchtopk", "", "gemma-scope-2", by_gemma_scope_2),
        ("gemma-scope-2/clt", "", "gemma-scope-2", by_gemma_scope_2_layers),
        ("openmoss/clt-jumprelu", "", "circuit-tracer", by_cross_layer),
    ):
        numbers = load_file(HERE / case / "numbers.safetensors")
        with tempfile.TemporaryDirectory() as temporary:
            native, exported = f"{temporary}/native.gguf", f"{temporary}/exported"
            subprocess.run([arguments.fathom, "import", str(HERE / case / source), "-o", native], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([arguments.fathom, "export", native, "-o", exported, "--format", format_name], check=True, stdout=subprocess.DEVNULL)
            with torch.no_grad():
                features, output = reader(exported, numbers["input"])
        errors = relative(features, numbers["features"]), relative(output, numbers["output"])
        print(f"{case:62} to {format_name:15} features {errors[0]:.2e} output {errors[1]:.2e}")
        worst = max(worst, *errors)
    if worst > 1e-4:
        sys.exit(f"the largest relative error is {worst:.2e}; 1e-4 is allowed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    maker = commands.add_parser("make")
    maker.add_argument("--openai")
    maker.add_argument("--openmoss")
    maker.set_defaults(run=make)
    checker = commands.add_parser("check")
    checker.add_argument("fathom")
    checker.add_argument("--openai")
    checker.add_argument("--openmoss")
    checker.set_defaults(run=check)
    chosen = parser.parse_args()
    chosen.run(chosen)
