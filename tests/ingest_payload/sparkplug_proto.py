"""Sparkplug B as Google's protobuf library writes and reads it: the stranger that our reader is held against.

The message types are built from a descriptor made here, after ``sparkplug_b.proto`` of Eclipse Tahu: what a field is
called, numbered and typed are facts of the format.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {
    "u32": FIELD.TYPE_UINT32,
    "u64": FIELD.TYPE_UINT64,
    "bool": FIELD.TYPE_BOOL,
    "str": FIELD.TYPE_STRING,
    "bytes": FIELD.TYPE_BYTES,
    "f32": FIELD.TYPE_FLOAT,
    "f64": FIELD.TYPE_DOUBLE,
}
MESSAGES: dict[str, list[tuple[int, str, str]]] = {
    "DataSet": [(1, "num_of_columns", "u64"), (2, "columns*", "str")],
    "Template": [(1, "version", "str"), (2, "metrics*", "Metric"), (5, "is_definition", "bool")],
    "MetaData": [(1, "is_multi_part", "bool"), (2, "content_type", "str"), (8, "description", "str")],
    "PropertyValue": [
        (1, "type", "u32"),
        (2, "is_null", "bool"),
        (3, "int_value?", "u32"),
        (4, "long_value?", "u64"),
        (5, "float_value?", "f32"),
        (6, "double_value?", "f64"),
        (7, "boolean_value?", "bool"),
        (8, "string_value?", "str"),
        (9, "propertyset_value?", "PropertySet"),
    ],
    "PropertySet": [(1, "keys*", "str"), (2, "values*", "PropertyValue")],
    "Metric": [
        (1, "name", "str"),
        (2, "alias", "u64"),
        (3, "timestamp", "u64"),
        (4, "datatype", "u32"),
        (5, "is_historical", "bool"),
        (6, "is_transient", "bool"),
        (7, "is_null", "bool"),
        (8, "metadata", "MetaData"),
        (9, "properties", "PropertySet"),
        (10, "int_value?", "u32"),
        (11, "long_value?", "u64"),
        (12, "float_value?", "f32"),
        (13, "double_value?", "f64"),
        (14, "boolean_value?", "bool"),
        (15, "string_value?", "str"),
        (16, "bytes_value?", "bytes"),
        (17, "dataset_value?", "DataSet"),
        (18, "template_value?", "Template"),
    ],
    "Payload": [
        (1, "timestamp", "u64"),
        (2, "metrics*", "Metric"),
        (3, "seq", "u64"),
        (4, "uuid", "str"),
        (5, "body", "bytes"),
    ],
}
"""Name to fields; ``*`` repeated, ``?`` of the oneof."""


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_test.proto", package="sparkplug_test", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(label.endswith("?") for _, label, _ in fields):
            message.oneof_decl.add(name="value")
        for number, label, kind in fields:
            field = message.field.add(name=label.rstrip("*?"), number=number)
            field.label = FIELD.LABEL_REPEATED if label.endswith("*") else FIELD.LABEL_OPTIONAL
            field.type = TYPES.get(kind, FIELD.TYPE_MESSAGE)
            if kind not in TYPES:
                field.type_name = f".sparkplug_test.{kind}"
            if label.endswith("?"):
                field.oneof_index = 0
    return file


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())
Payload: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName("sparkplug_test.Payload"))


def payload(seq: int | None, ts: int | None, *metrics: dict[str, Any]) -> bytes:
    """A payload; a metric's keys are its fields, ``properties`` a dict of texts and integers."""
    message = Payload()
    if seq is not None:
        message.seq = seq
    if ts is not None:
        message.timestamp = ts
    for fields in metrics:
        metric = message.metrics.add()
        for key, value in fields.items():
            if key == "properties":
                for name, sent in value.items():
                    metric.properties.keys.append(name)
                    one = metric.properties.values.add(type=12 if isinstance(sent, str) else 3)
                    setattr(one, "string_value" if isinstance(sent, str) else "int_value", sent)
            elif key == "dataset_value":
                metric.dataset_value.columns.extend(value)
            elif key == "template_value":
                metric.template_value.version = value
            else:
                setattr(metric, key, value)
    return bytes(message.SerializeToString())
