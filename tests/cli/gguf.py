"""GGUF taken apart and put together again, so that tests can spoil any part of it."""
import struct

STRING, ARRAY = 8, 9
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
ALIGNMENT = 32


class Gguf:
    """keys: lists [name, type, value] (an array's value is (element type, list)); tensors: lists [name, shape, type, offset]."""

    def __init__(self, path):
        self._bytes, self._at = path.read_bytes(), 4
        self.version, n_tensors, n_keys = self._take("IQQ")
        self.keys = []
        for _ in range(n_keys):
            name, (kind,) = self._string(), self._take("I")
            self.keys.append([name, kind, self._value(kind)])
        self.tensors = []
        for _ in range(n_tensors):
            name, (n,) = self._string(), self._take("I")
            shape = list(self._take(f"{n}Q"))
            self.tensors.append([name, shape, *self._take("IQ")])
        self.header = self._at
        self.data = self._bytes[-(-self._at // ALIGNMENT) * ALIGNMENT:]

    def _take(self, form):
        values = struct.unpack_from("<" + form, self._bytes, self._at)
        self._at += struct.calcsize("<" + form)
        return values

    def _string(self):
        (length,) = self._take("Q")
        self._at += length
        return self._bytes[self._at - length:self._at]

    def _value(self, kind):
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            element, n = self._take("IQ")
            return element, [self._value(element) for _ in range(n)]
        return self._take(_CODES[kind])[0]

    def key(self, name):
        return next(key for key in self.keys if key[0] == name)

    def tensor(self, name):
        return next(tensor for tensor in self.tensors if tensor[0] == name)

    def put(self, name, kind, value):
        for key in self.keys:
            if key[0] == name:
                key[1:] = [kind, value]
                return
        self.keys.append([name, kind, value])

    def pack(self, n_keys=None, n_tensors=None):
        """The file's bytes; the counts of its header can be made to lie."""
        out = bytearray(b"GGUF")
        out += struct.pack("<IQQ", self.version, len(self.tensors) if n_tensors is None else n_tensors,
                           len(self.keys) if n_keys is None else n_keys)
        for name, kind, value in self.keys:
            out += _pack(STRING, name) + struct.pack("<I", kind) + _pack(kind, value)
        for name, shape, kind, offset in self.tensors:
            out += _pack(STRING, name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        return bytes(out + bytes(-len(out) % ALIGNMENT)) + self.data


def _pack(kind, value):
    if kind == STRING:
        return struct.pack("<Q", len(value)) + value
    if kind == ARRAY:
        return struct.pack("<IQ", value[0], len(value[1])) + b"".join(_pack(value[0], v) for v in value[1])
    return struct.pack("<" + _CODES[kind], value)
