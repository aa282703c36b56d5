#!/usr/bin/env python3
"""Writes what ONNX says of each operator of its default set, one line each, for the importer:

    Name since[,since...] attribute:type[:since,...] ...

`since` are the versions of the operator set in which the operator got another form or other types; behind an attribute those that have it,
where not all do. Types are `f i s t g` (float, integer, text, tensor, graph), doubled for lists, and `?` for what the importer does not
take (sparse tensors, types). Versions that were replaced up to operator set 6, the oldest that is read, are left out. Run it again for a newer `onnx` package: schema.py > ../crates/deepring-onnx/src/operators/onnx.txt"""

import collections

import onnx.defs

LETTERS = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t", "GRAPH": "g",
    "FLOATS": "ff", "INTS": "ii", "STRINGS": "ss", "TENSORS": "tt", "GRAPHS": "gg",
}

operators = collections.defaultdict(list)
for schema in onnx.defs.get_all_schemas_with_history():
    if schema.domain == "":
        operators[schema.name].append(schema)
OLDEST = 6
for name, schemas in sorted(operators.items()):
    schemas.sort(key=lambda s: s.since_version)
    schemas = [s for s, after in zip(schemas, [*schemas[1:], None]) if after is None or after.since_version > OLDEST]
    since = ",".join(str(v) for v in sorted({s.since_version for s in schemas}))
    types, of = {}, collections.defaultdict(set)
    for schema in schemas:
        for attribute, value in schema.attributes.items():
            letter = LETTERS.get(str(value.type).split(".")[-1], "?")
            assert types.setdefault(attribute, letter) == letter, (name, attribute)
            of[attribute].add(schema.since_version)
    versions = {s.since_version for s in schemas}
    where = {a: "" if of[a] == versions else ":" + ",".join(str(v) for v in sorted(of[a])) for a in types}
    print(" ".join([name, since, *(f"{a}:{t}{where[a]}" for a, t in sorted(types.items()))]))
