"""Payloads of messages that are not plain JSON: Avro, JSON Schema, Protobuf, by a schema registry."""
