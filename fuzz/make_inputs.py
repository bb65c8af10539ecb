#!/usr/bin/env python3
"""Writes the saved inputs of the fuzz targets into fuzz/inputs: small files, good ones and such that are wrong in one place.

Needs Python's standard library and libzstd.
"""

import ctypes
import ctypes.util
import gzip
import io
import json
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE / "inputs"
MODELS = HERE.parent / "tests" / "reference"


def save(target: str, name: str, data: bytes) -> None:
    path = ROOT / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def zstd(data: bytes) -> bytes:
    library = ctypes.CDLL(ctypes.util.find_library("zstd"))
    library.ZSTD_compress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(len(data) + 1024)
    size = library.ZSTD_compress(out, ctypes.c_size_t(len(out)), data, ctypes.c_size_t(len(data)), 3)
    return out.raw[:size]


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(keys: list[bytes], tensors: list[tuple[str, list[int], int, bytes]], version: int = 3, alignment: int = 32) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)) + b"".join(keys)
    data = b""
    for name, shape, kind, values in tensors:
        head += string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}q", *shape)
        head += struct.pack("<IQ", kind, len(data))
        data += values + bytes(-len(values) % alignment)
    return head + bytes(-len(head) % alignment) + data


def key(name: str, kind: int, value: bytes) -> bytes:
    return string(name) + struct.pack("<I", kind) + value


def gguf_inputs() -> None:
    scalars = [
        key("u8", 0, b"\x07"), key("i8", 1, b"\xf9"), key("u16", 2, b"\x01\x02"), key("i16", 3, b"\xff\xff"),
        key("u32", 4, struct.pack("<I", 70000)), key("i32", 5, struct.pack("<i", -5)), key("f32", 6, struct.pack("<f", 0.5)),
        key("bool", 7, b"\x01"), key("string", 8, string("llama")), key("u64", 10, struct.pack("<Q", 2**64 - 1)),
        key("i64", 11, struct.pack("<q", -(2**63))), key("f64", 12, struct.pack("<d", 1e-5)),
    ]
    arrays = [
        key("words", 9, struct.pack("<IQ", 8, 2) + string("one") + string("two")),
        key("numbers", 9, struct.pack("<IQ", 5, 3) + struct.pack("<3i", 1, 2, 3)),
    ]
    f32 = ("matrix", [3, 2], 0, struct.pack("<6f", *range(6)))
    f16 = ("half", [4], 1, bytes(8))
    q8 = ("blocks", [32, 2], 8, bytes(range(68)))
    q4 = ("fours", [32], 2, bytes(18))
    save("gguf", "empty", gguf([], []))
    save("gguf", "scalars", gguf(scalars, []))
    save("gguf", "arrays", gguf(arrays, []))
    save("gguf", "tensors", gguf(scalars[:2], [f32, f16, q8, q4]))
    save("gguf", "alignment", gguf([key("general.alignment", 4, struct.pack("<I", 64))], [f32, f16], alignment=64))
    save("gguf", "version2", gguf(scalars, [f32], version=2))
    save("gguf", "many_keys", b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + scalars[0])
    save("gguf", "long_array", gguf([key("a", 9, struct.pack("<IQ", 4, 2**62))], []))
    save("gguf", "nested_array", gguf([key("a", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 1) + b"x")], []))
    save("gguf", "overflow", gguf([], [("t", [2**62, 2**62], 0, b"")]))
    save("gguf", "hollow", gguf([], [("t", [0, 2**62, 2**62], 0, b"")]))
    save("gguf", "twice", gguf([scalars[0], scalars[0]], [f32, f32]))


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_inputs() -> None:
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    save("safetensors", "one", safetensors({"__metadata__": {"format": "pt"}, "t": one}, bytes(8)))
    types = {}
    at = 0
    for name, size in (("F64", 8), ("F32", 4), ("BF16", 2), ("F16", 2), ("I64", 8), ("I32", 4), ("U8", 1)):
        types[name] = {"dtype": name, "shape": [1, 3], "data_offsets": [at, at + 3 * size]}
        at += 3 * size
    save("safetensors", "types", safetensors(types, bytes(range(at))))
    save("safetensors", "empty", safetensors({}))
    save("safetensors", "long_header", struct.pack("<Q", 2**63) + b"{}")
    save("safetensors", "overflow", safetensors({"t": dict(one, shape=[2**62, 4])}, bytes(8)))
    save("safetensors", "overlap", safetensors({"a": one, "b": one}, bytes(8)))
    save("safetensors", "beyond", safetensors({"a": dict(one, data_offsets=[0, 2**62])}, bytes(8)))


def corpus_inputs() -> None:
    text = "A first document.\nIts second line.\n\n\nAnother one, caf\u00e9.\n\f\nA third\u2028one.\n".encode()
    lines = b"".join(json.dumps({"text": t, "n": 1}, ensure_ascii=False).encode() + b"\n" for t in ("one", "two\u2028", "\u0000"))
    save("corpus", "text", b"\0" + text)
    save("corpus", "jsonl", b"\0" + lines)
    save("corpus", "jsonl_named", b"\1" + lines)
    save("corpus", "text.gz", b"\0" + gzip.compress(text, mtime=0))
    save("corpus", "jsonl.gz", b"\0" + gzip.compress(lines, mtime=0) + gzip.compress(lines, mtime=0))
    save("corpus", "text.zst", b"\0" + zstd(text))
    save("corpus", "jsonl.zst", b"\0" + zstd(lines) + zstd(lines))
    save("corpus", "invalid", b"\0good\n\n\nb\xff\xfe\n")
    save("corpus", "nothing", b"\0")
    save("corpus", "missing", b"\1{\"body\":\"x\"}\n")
    save("corpus", "truncated.zst", b"\0" + zstd(text)[:-3])


def utf8_inputs() -> None:
    save("utf8", "mixed", "a\u00e9\u20ac\U0001f600\u2028".encode())
    save("utf8", "invalid", b"\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xff \xe2\x82")


def text_key(name: str, value: str) -> bytes:
    return key(name, 8, string(value))


def number_key(name: str, value: int) -> bytes:
    return key(name, 4, struct.pack("<I", value))


def head_of(data: bytes) -> bytes:
    """A GGUF file without its tensors' data: the records end with the first name that is not there."""
    at = 24
    n_tensors, n_keys = struct.unpack_from("<QQ", data, 8)
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def skip_string(at: int) -> int:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]

    for _ in range(n_keys):
        at = skip_string(at)
        kind = struct.unpack_from("<I", data, at)[0]
        at += 4
        if kind == 9:
            kind, count = struct.unpack_from("<IQ", data, at)
            at += 12
        else:
            count = 1
        for _ in range(count):
            at = skip_string(at) if kind == 8 else at + sizes[kind]
    for _ in range(n_tensors):
        at = skip_string(at)
        at += 4 + 8 * struct.unpack_from("<I", data, at)[0] + 12
    return data[:at]


def model_inputs() -> None:
    for name in ("llama", "gemma3", "gpt2"):
        save("model", name, head_of((MODELS / name / "model.gguf").read_bytes()))


def dictionary_inputs() -> None:
    d, features = 32, 4
    prefix = "fathom.dictionary."
    for name, architecture, kind, block in (("topk_f32", "topk", 0, 4 * d), ("batchtopk_q8_0", "batchtopk", 8, 34), ("jumprelu_f16", "jumprelu", 1, 2 * d)):
        keys = [
            text_key("general.architecture", "fathom-dictionary"), text_key("general.name", "toy"), text_key(prefix + "architecture", architecture),
            text_key(prefix + "hook_in", "blocks.0.hook_resid_post"), text_key(prefix + "hook_out", "blocks.0.hook_resid_post"),
            text_key(prefix + "training", "{}"), number_key(prefix + "version", 1), number_key(prefix + "d_in", d), number_key(prefix + "d_out", d),
            number_key(prefix + "n_features", features), number_key(prefix + "k", 2), number_key(prefix + "skip_positions", 1),
            key(prefix + "subtract_decoder_bias", 7, b"\1"), key(prefix + "input_scale", 6, struct.pack("<f", 2.0)), key(prefix + "max_norm", 6, struct.pack("<f", 100.0)),
        ]
        matrix = bytes(i % 23 for i in range(block)) * features
        tensors = [
            ("encoder.weight", [d, features], kind, matrix), ("decoder.weight", [d, features], kind, matrix),
            ("encoder.bias", [features], 0, bytes(4 * features)), ("decoder.bias", [d], 0, bytes(4 * d)), ("threshold", [features], 0, bytes(4 * features)),
        ]
        save("dictionary", name, gguf(keys, tensors))
    keys = [
        text_key("general.architecture", "fathom-dictionary"), text_key(prefix + "architecture", "gated"), text_key(prefix + "input_norm", "layer_norm"),
        text_key(prefix + "hook_in", "blocks.0.mlp.hook_in"), text_key(prefix + "hook_out", "blocks.0.hook_mlp_out"), number_key(prefix + "version", 2),
        number_key(prefix + "d_in", d), number_key(prefix + "d_out", 8), number_key(prefix + "n_features", features), number_key(prefix + "k", 0),
        key(prefix + "subtract_decoder_bias", 7, b"\0"), key(prefix + "undo_input_norm", 7, b"\1"), key(prefix + "input_scale", 6, struct.pack("<f", 2.0)),
        key(prefix + "output_scale", 6, struct.pack("<f", 4.0)), key(prefix + "groups", 9, struct.pack("<IQ2I", 4, 2, 1, 3)),
    ]
    ones = struct.pack("<f", 1.0)
    tensors = [
        ("encoder.weight", [d, features], 0, ones * d * features), ("decoder.weight", [8, features], 0, ones * 8 * features), ("encoder.bias", [features], 0, ones * features),
        ("decoder.bias", [8], 0, ones * 8), ("gate.bias", [features], 0, ones * features), ("magnitude.scale", [features], 0, ones * features), ("skip.weight", [d, 8], 0, ones * 8 * d),
    ]
    save("dictionary", "gated_skip", gguf(keys, tensors))
    swapped = [text_key(prefix + "architecture", "groupmax") if k == keys[1] else number_key(prefix + "k", 2) if k == keys[9] else k for k in keys]
    save("dictionary", "groupmax", gguf(swapped, tensors[:4]))


def probe_inputs() -> None:
    d, prefix = 3, "fathom.probe."
    keys = [text_key("general.architecture", "fathom-probe")]
    for name, value in (("hook", "blocks.0.hook_resid_post"), ("model_identity", ""), ("model_name", "toy"), ("pool", "mean"), ("seed", "1")):
        keys.append(text_key(prefix + name, value))
    for name, value in (("version", 1), ("d_in", d), ("n_positive", 2), ("n_negative", 2), ("n_duplicates", 0), ("n_shuffled", 2)):
        keys.append(number_key(prefix + name, value))
    for name in ("bias", "bag_bias", "max_norm", "threshold", "regularisation", "cross_validated_auroc"):
        keys.append(key(prefix + name, 6, struct.pack("<f", 0.5)))
    ones = struct.pack(f"<{d}f", *(1.0 for _ in range(d)))
    tensors = [
        ("mean", [d], 0, ones), ("deviation", [d], 0, ones), ("weights", [d], 0, ones), ("shuffled", [d, 2], 0, ones * 2),
        ("bag.tokens", [2], 26, struct.pack("<2i", 4, 7)), ("bag.weights", [2], 0, struct.pack("<2f", 1, 2)),
        ("texts.whole", [2], 27, struct.pack("<2q", 5, 6)), ("texts.offsets", [3], 27, struct.pack("<3q", 0, 1, 2)),
        ("texts.pairs", [2], 26, struct.pack("<2i", 8, 9)),
    ]
    save("probe", "whole", gguf(keys, tensors))


def saelens_inputs() -> None:
    d, features = 3, 4
    shapes = {"W_enc": [d, features], "W_dec": [features, d], "b_enc": [features], "b_dec": [d], "threshold": [features]}
    header, data = {}, b""
    for name, shape in shapes.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += struct.pack(f"<{size // 4}f", *((i % 7) / 8 for i in range(size // 4)))
    weights = safetensors(header, data)
    new = {
        "architecture": "jumprelu", "d_in": d, "d_sae": features, "dtype": "float32", "apply_b_dec_to_input": True, "normalize_activations": "none",
        "metadata": {"sae_lens_version": "6.5.0", "model_name": "toy", "hook_name": "blocks.0.hook_resid_post"},
    }
    old = {
        "architecture": "topk", "d_in": d, "d_sae": features, "activation_fn_str": "topk", "activation_fn_kwargs": {"k": 2}, "hook_name": "blocks.0.hook_resid_post",
        "hook_layer": 0, "model_name": "toy", "normalize_activations": "none", "apply_b_dec_to_input": True, "dtype": "torch.float32",
    }
    save("saelens", "version6", json.dumps(new).encode() + b"\0" + weights)
    save("saelens", "version5", json.dumps(old).encode() + b"\0" + weights)


def texts_inputs() -> None:
    save("texts", "lines", b"\0one text\nanother text\n\none  Text!\n")
    save("texts", "jsonl", b'\1{"text":"one","label":true}\n{"text":"two","label":0}\n{"text":"three"}\n')


def wordnet_inputs() -> None:
    # Two synsets, the second above the first, in the form of wndb(5WN); offsets are those of the lines.
    licence = b"  1 This line belongs to the licence.\n"
    first = b"%08d 18 n 01 athlete 0 001 @ %08d n 0000 | a person trained to compete\n"
    second = b"%08d 18 n 02 person 0 someone 0 001 ~ %08d n 0000 | a human being\n"
    at = len(licence)
    after = at + len(first % (0, 0))
    data = licence + first % (at, after) + second % (after, at)
    index = licence + b"athlete n 1 1 @ 1 0 %08d  \nperson n 1 1 ~ 1 1 %08d  \nsomeone n 1 1 ~ 1 0 %08d  \n" % (at, after, after)
    save("wordnet", "two", index + b"\0" + data + b"\0mice mouse\n")


def catalogue_inputs() -> None:
    def line(*values: bytes) -> bytes:
        return b"".join(bytes([len(value)]) + value for value in values)

    histogram = bytes(50)
    effect = b"\1\2" + struct.pack("<f", 0.5)
    tokens = bytes(range(12))
    levels = struct.pack("<f", 2.0) + bytes([3, 255, 5, 17])
    numbers = [b"\7", b"\0" * 8, b"\0", b"\4", b"\0", b"\0"]
    save("catalogue", "whole", line(histogram, effect + effect, effect, tokens, levels, *numbers))
    save("catalogue", "damaged", line(histogram, effect, effect, tokens, levels, *numbers) + bytes([0, 16, 0, 255, 7, 32, 0, 1]))


def zip_inputs() -> None:
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for member in ("package/__init__.py", "package/model.bin"):
                archive.writestr(zipfile.ZipInfo(member), b"weights " * 20, compress_type=method)
        save("zip", name, out.getvalue())


def npy(shape: list[int], data: bytes, descr: str = "<f4", fortran: bool = False, version: int = 1) -> bytes:
    sizes = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({sizes}), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + data


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return out.getvalue()


def npz_inputs() -> None:
    six = struct.pack("<6f", *range(6))
    save("npz", "stored", archive({"W_enc.npy": npy([2, 3], six), "b_dec.npy": npy([6], six)}))
    save("npz", "deflated", archive({"W_enc.npy": npy([2, 3], six, fortran=True)}, zipfile.ZIP_DEFLATED))
    save("npz", "types", archive({t[1:] + ".npy": npy([2], bytes(2 * int(t[2])), t) for t in ("<f2", "<f8", "<i4", "<i8", "|u1", "|b1")}))
    save("npz", "scalar", archive({"k.npy": npy([], bytes(8), "<i8", version=2), "note.txt": b"text"}))
    save("npz", "object", archive({"W_enc.npy": npy([1], b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR.", "|O")}))
    save("npz", "large", archive({"W_enc.npy": npy([2**31, 2**31, 2**31], six)}))


def state_dict(entries: dict, ordered: bool = True) -> bytes:
    """The opcodes that torch.save emits; a list of floats becomes a tensor with a storage of its own."""
    out, count = [b"\x80\x02"], 0

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    def number(value: int) -> bytes:
        return b"K" + bytes([value]) if value < 256 else b"J" + struct.pack("<i", value)

    def tensor(size: list[int], strides: list[int], storage: str) -> bytes:
        nonlocal count
        elements = 1
        for n in size:
            elements *= n
        key, count = str(count), count + 1
        sizes, steps = (b"(" + b"".join(map(number, part)) + b"t" for part in (size, strides))
        persistent = b"(" + text("storage") + b"ctorch\n" + storage.encode() + b"\n" + text(key) + text("cpu") + number(elements) + b"tQ"
        return b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + number(0) + sizes + steps + b"\x89ccollections\nOrderedDict\n)RtR"

    def value(item: object) -> bytes:
        if isinstance(item, dict):
            return b"}(" + b"".join(text(k) + value(v) for k, v in item.items()) + b"u"
        if isinstance(item, str):
            return text(item)
        if isinstance(item, int):
            return number(item)
        if isinstance(item, float):
            return b"G" + struct.pack(">d", item)
        return tensor(*item)

    out.append((b"ccollections\nOrderedDict\n)R" if ordered else b"}") + b"q\x00(")
    out.extend(text(k) + value(v) for k, v in entries.items())
    out.append(b"u" + (b"}X\x09\x00\x00\x00_metadata}sb" if ordered else b"") + b".")
    return b"".join(out)


def pickle_inputs() -> None:
    entries = {
        "encoder.weight": ([4, 3], [3, 1], "FloatStorage"), "decoder.weight": ([3, 4], [1, 3], "FloatStorage"), "threshold": ([], [], "FloatStorage"),
        "k": ([], [], "IntStorage"), "half": ([2], [1], "BFloat16Storage"), "activation": "TopK", "activation_state_dict": {"k": 7, "postact_fn": "ReLU", "rate": 0.5},
    }
    good = state_dict(entries)
    save("pickle", "ordered", good)
    save("pickle", "plain", state_dict(entries, ordered=False))
    save("pickle", "system", b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")
    save("pickle", "builtin", b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.")
    save("pickle", "cycle", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.")
    save("pickle", "expanded", state_dict({"w": ([200, 200], [0, 0], "FloatStorage")}))
    storages = {"archive/data/0": bytes(48), "archive/data/1": bytes(48), "archive/data/2": bytes(4), "archive/data/3": bytes(4), "archive/data/4": bytes(4)}
    whole = {"archive/data.pkl": good, "archive/byteorder": b"little", "archive/version": b"3\n"}
    save("torch", "whole", archive(whole | storages))
    save("torch", "no_storage", archive(whole))
    save("torch", "short_storage", archive(whole | storages | {"archive/data/0": bytes(44)}))
    save("torch", "big_endian", archive(whole | storages | {"archive/byteorder": b"big"}))


def formats_inputs() -> None:
    d, features = 3, 4

    def numbers(n: int) -> bytes:
        return struct.pack(f"<{n}f", *((i % 7 + 1) / 8 for i in range(n)))

    def weights(**shapes: list[int]) -> bytes:
        header, data = {}, b""
        for name, shape in shapes.items():
            size = 1
            for n in shape:
                size *= n
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * size]}
            data += numbers(size)
        return safetensors(header, data)

    def put(index: int, name: str, config: object, data: bytes) -> None:
        text = config if isinstance(config, str) else json.dumps(config)
        save("formats", name, bytes([index]) + text.encode() + b"\0" + data)

    wide, tall, long, short = [d, features], [features, d], [features], [d]
    arrays = {"W_enc": wide, "W_dec": tall, "b_enc": long, "b_dec": short, "threshold": long}
    put(0, "gemma-scope", "", archive({f"{name}.npy": npy(shape, numbers(d * features if len(shape) == 2 else shape[0])) for name, shape in arrays.items()}))
    put(1, "gemma-scope-2", {"architecture": "jump_relu", "model_name": "gemma-v3-270m"},
        weights(w_enc=wide, w_dec=tall, b_enc=long, b_dec=short, threshold=long, affine_skip_connection=[d, d]))
    linear = {"encoder.weight": tall, "encoder.bias": long}
    put(2, "sparsify", {"d_in": d, "k": 2, "transcode": True, "activation": "groupmax"}, weights(W_dec=tall, b_dec=short, W_skip=[d, d], **linear))
    moss = {"d_model": d, "sae_type": "sae", "act_fn": "jumprelu", "norm_activation": "dataset-wise", "hook_point_in": "h", "hook_point_out": "h"}
    put(4, "openmoss", moss, weights(W_E=wide, b_E=long, W_D=tall, b_D=short, **{"activation_function.log_jumprelu_threshold": long, "dataset_average_activation_norm.h": [1]}))
    del moss["hook_point_in"]
    put(4, "openmoss_half_placed", moss, weights(W_E=wide, b_E=long, W_D=tall, b_D=short))
    scope = {"d_model": d, "d_sae": features, "act_fn": "topk", "jump_relu_threshold": 0.5, "dataset_average_activation_norm": {"in": 2.0, "out": 3.0}}
    put(5, "llama-scope", scope, weights(**linear, **{"decoder.weight": wide, "decoder.bias": short}))
    put(7, "circuit-tracer", "model_name: toy\nfeature_input_hook: mlp.hook_in # in\n",
        weights(W_enc=tall, W_dec=tall, b_enc=long, b_dec=short, W_skip=[d, d], **{"activation_function.threshold": long}))

    def torch_file(entries: dict, sizes: list[int]) -> bytes:
        return archive({"archive/data.pkl": state_dict(entries)} | {f"archive/data/{i}": numbers(n) for i, n in enumerate(sizes)})

    tensors = {"encoder.weight": (tall, [d, 1], "FloatStorage"), "encoder.bias": (long, [1], "FloatStorage"), "decoder.weight": (wide, [1, d], "FloatStorage")}
    put(3, "dictionary-learning", {"trainer": {"dict_class": "BatchTopKSAE", "layer": 0}},
        torch_file(tensors | {"b_dec": (short, [1], "FloatStorage"), "k": 2, "threshold": ([], [], "FloatStorage")}, [12, 4, 12, 3, 1]))
    tensors = {"pre_bias": (short, [1], "FloatStorage"), "encoder.weight": (tall, [d, 1], "FloatStorage"), "latent_bias": (long, [1], "FloatStorage"), "decoder.weight": (wide, [features, 1], "FloatStorage")}
    put(6, "openai", "", torch_file(tensors | {"activation": "TopK", "activation_state_dict": {"k": 2, "postact_fn": "ReLU"}}, [3, 12, 4, 12]))


def plan_inputs() -> None:
    save("plan", "features", b'"golden gate"@16 +8 while answering; #304@6-14 =1.5 whole ramp 10 ; error *0.5, #7 -2 raw')
    save("plan", "rows", b'rows mlp_out@3 ablate at -4..-1; layer@2 *0; direction a/b-c.safetensors rotate -30 after "x:\\n"')
    save("plan", "bounds", b'probe "p q.gguf" cap 0..2e-1; vector v.gguf *2+1; #1 cap ..3; #1 out 0.5; direction d.st out on attn_out')
    save("plan", "conditions", b'#1 patch "other" from end while thinking and #2 > 0.5 raw over ever and cast c.st@4 < -0.1 over prompt and probe p > 1 window 3;')
    edits = [{"feature": "golden gate", "layers": [6, 14], "how": "clamp", "value": 1.5, "whole": True, "ramp": 10, "part": "answer"},
             {"feature": 1, "how": "patch", "patch": {"text": "other", "align": "end"}, "while": [{"probe": "p", "above": 1.0, "window": 3}]}]
    save("plan", "document", json.dumps({"fathom_plan": 1, "edits": edits}).encode())


def schema_inputs() -> None:
    person = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": ["integer", "null"]}}, "required": ["name"]}
    save("schema", "object", json.dumps(person | {"additionalProperties": False}).encode())
    save("schema", "list", json.dumps({"type": "array", "items": {"$ref": "#/$defs/p"}, "minItems": 1, "maxItems": 3, "$defs": {"p": person}}).encode())
    save("schema", "choices", json.dumps({"anyOf": [{"enum": ["a", 1, None]}, {"const": {"b": [True, 0.5]}}]}).encode())
    save("schema", "endless", json.dumps({"$ref": "#"}).encode())
    save("schema", "nested", json.dumps({"type": "object", "properties": {"x": {"$ref": "#"}}}).encode())


if __name__ == "__main__":
    plan_inputs()
    schema_inputs()
    gguf_inputs()
    safetensors_inputs()
    corpus_inputs()
    utf8_inputs()
    zip_inputs()
    npz_inputs()
    pickle_inputs()
    formats_inputs()
    model_inputs()
    dictionary_inputs()
    probe_inputs()
    saelens_inputs()
    texts_inputs()
    wordnet_inputs()
    catalogue_inputs()
