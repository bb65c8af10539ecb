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

ROOT = pathlib.Path(__file__).resolve().parent / "inputs"


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


def zip_inputs() -> None:
    for name, method in (("stored", zipfile.ZIP_STORED), ("deflated", zipfile.ZIP_DEFLATED)):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for member in ("package/__init__.py", "package/model.bin"):
                archive.writestr(zipfile.ZipInfo(member), b"weights " * 20, compress_type=method)
        save("zip", name, out.getvalue())


if __name__ == "__main__":
    gguf_inputs()
    safetensors_inputs()
    corpus_inputs()
    utf8_inputs()
    zip_inputs()
