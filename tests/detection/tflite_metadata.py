"""The metadata that MediaPipe's tasks want, for a TensorFlow Lite model that comes without.

A new head is put before the model and the metadata behind it: offsets in a FlatBuffer are relative,
so what lies between stays as it is, weights and all. Tables and field numbers are those of
TensorFlow Lite's ``schema.fbs`` and ``metadata_schema.fbs``.
"""

from __future__ import annotations

import struct

_NORMALIZATION = 1
_MODEL_FIELDS = 7  # version, operator codes, subgraphs, description, buffers, two of metadata
_BUFFERS, _METADATA = 4, 6


def with_normalization(model: bytes, mean: float, std: float) -> bytes:
    """``model``, which then says how its input is made of pixels from 0 to 255."""
    (root,) = struct.unpack_from("<I", model)
    (back,) = struct.unpack_from("<i", model, root)
    table = root - back
    (size,) = struct.unpack_from("<H", model, table)
    fields = [
        struct.unpack_from("<H", model, table + 4 + 2 * n)[0] if 4 + 2 * n < size else 0
        for n in range(_MODEL_FIELDS)
    ]

    def place(at: int) -> int:
        """Where an offset in the old file points."""
        return int(at + struct.unpack_from("<I", model, at)[0])

    old_buffers = place(root + fields[_BUFFERS])
    (count,) = struct.unpack_from("<I", model, old_buffers)

    # The head: root and mark, the model's vtable and table, and its list of buffers.
    vtable = 8
    head_table = vtable + 4 + 2 * _MODEL_FIELDS + 2  # aligned to 4
    buffers = head_table + 4 + 4 * _MODEL_FIELDS
    head_size = -(-(buffers + 4 + 4 * (count + 1)) // 16) * 16
    tail = head_size + -(-len(model) // 16) * 16

    # The tail: a list of one entry, its table, its name, and the table of the buffer.
    name, content = b"TFLITE_METADATA", _content(mean, std)
    entry_list, entry_vtable = tail, tail + 8
    entry = entry_vtable + 8
    text = entry + 12
    buffer_vtable = text + 4 + len(name) + 1
    buffer = buffer_vtable + 8
    data = buffer + 8 + 4  # so that the bytes begin at a multiple of 16, after their number
    data += -(data + 4) % 16
    out = bytearray(data + 4 + len(content))

    struct.pack_into("<I4s", out, 0, head_table, b"TFL3")
    slots = [4 + 4 * n for n in range(_MODEL_FIELDS)]
    here = [bool(field) for field in fields]
    here[_METADATA], here[5] = True, False
    struct.pack_into(
        f"<{2 + _MODEL_FIELDS}H",
        out,
        vtable,
        4 + 2 * _MODEL_FIELDS,
        4 + 4 * _MODEL_FIELDS,
        *(slot if is_here else 0 for slot, is_here in zip(slots, here, strict=True)),
    )
    struct.pack_into("<i", out, head_table, head_table - vtable)
    struct.pack_into("<I", out, head_table + slots[0], 3)  # the version of the schema
    for n in (1, 2, 3):
        if here[n]:
            at = head_table + slots[n]
            struct.pack_into("<I", out, at, head_size + place(root + fields[n]) - at)
    for n, target in ((_BUFFERS, buffers), (_METADATA, entry_list)):
        at = head_table + slots[n]
        struct.pack_into("<I", out, at, target - at)
    struct.pack_into("<I", out, buffers, count + 1)
    for n in range(count):
        at = buffers + 4 + 4 * n
        struct.pack_into("<I", out, at, head_size + place(old_buffers + 4 + 4 * n) - at)
    at = buffers + 4 + 4 * count
    struct.pack_into("<I", out, at, buffer - at)
    out[head_size : head_size + len(model)] = model

    struct.pack_into("<II", out, entry_list, 1, entry - entry_list - 4)
    struct.pack_into("<4H", out, entry_vtable, 8, 12, 4, 8)
    struct.pack_into("<iII", out, entry, entry - entry_vtable, text - entry - 4, count)
    struct.pack_into(f"<I{len(name)}s", out, text, len(name), name)
    struct.pack_into("<3H", out, buffer_vtable, 6, 8, 4)
    struct.pack_into("<iI", out, buffer, buffer - buffer_vtable, data - buffer - 4)
    struct.pack_into(f"<I{len(content)}s", out, data, len(content), content)
    return bytes(out)


def _content(mean: float, std: float) -> bytes:
    """The metadata of a model whose one input is normalised."""
    import flatbuffers  # type: ignore[import-untyped]

    file = flatbuffers.Builder(256)

    def floats(value: float) -> int:
        file.StartVector(4, 1, 4)
        file.PrependFloat32(value)
        return int(file.EndVector())

    def listed(item: int) -> int:
        file.StartVector(4, 1, 4)
        file.PrependUOffsetTRelative(item)
        return int(file.EndVector())

    def table(slots: dict[int, int], kind: int | None = None) -> int:
        file.StartObject(9)
        for slot, value in slots.items():
            file.PrependUOffsetTRelativeSlot(slot, value, 0)
        if kind is not None:
            file.PrependUint8Slot(0, kind, 0)
        return int(file.EndObject())

    options = table({0: floats(mean), 1: floats(std)})
    unit = table({1: options}, _NORMALIZATION)
    tensor = table({4: listed(unit)})
    graph = table({2: listed(tensor)})
    file.Finish(table({3: listed(graph)}), file_identifier=b"M001")
    return bytes(file.Output())
