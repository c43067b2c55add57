"""Reads the metadata and the float32 tensors of a GGUF file (version 3, little-endian), after
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

import struct

import numpy as np

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
           10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY, F32 = 8, 9, 0


class Reader:
    def __init__(self, data):
        self.data, self.place = data, 0

    def number(self, form):
        (value,) = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return value

    def string(self):
        length = self.number("<Q")
        self.place += length
        return self.data[self.place - length:self.place].decode("utf-8", "replace")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            element, count = self.number("<I"), self.number("<Q")
            return [self.value(element) for _ in range(count)]
        return self.number(SCALARS[kind])


def read_gguf(path):
    """(metadata, tensors): a dict of values and a dict of arrays, rows first."""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    if reader.number("<I") != 0x46554747 or reader.number("<I") != 3:
        raise ValueError(f"{path} is not a GGUF file of version 3")
    n_tensors, n_keys = reader.number("<Q"), reader.number("<Q")
    metadata = {}
    for _ in range(n_keys):
        key = reader.string()
        metadata[key] = reader.value(reader.number("<I"))
    places = {}
    for _ in range(n_tensors):
        name = reader.string()
        shape = [reader.number("<Q") for _ in range(reader.number("<I"))]
        if reader.number("<I") != F32:
            raise ValueError(f"{path}: {name} is not float32")
        places[name] = shape[::-1], reader.number("<Q")
    alignment = metadata.get("general.alignment", 32)
    start = -(-reader.place // alignment) * alignment
    return metadata, {
        name: np.frombuffer(reader.data, "<f4", int(np.prod(shape)), start + offset).reshape(shape)
        for name, (shape, offset) in places.items()}
