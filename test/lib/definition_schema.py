#!/usr/bin/env python3
#
# What a JSON Schema says of definitions, asked of Debian's python3-jsonschema.
#
#   definition_schema.py valid SCHEMA < LINES      a JSON document in each line; a line each: what is wrong with it, or nothing
#   definition_schema.py samples SCHEMA            definitions in which each key of each object has a value of each type that the schema
#                                                  gives it, a line each: jsonpath of the value, tab, definition

import json
import sys

from jsonschema import Draft202012Validator

schema = json.load(open(sys.argv[2]))
shapes = schema["$defs"]


def valid():
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for line in sys.stdin:
        error = next(iter(validator.iter_errors(json.loads(line))), None)
        print("" if error is None else "%s: %s" % (error.json_path, error.message.replace("\n", " ")[:200]))


def resolved(shape):
    return shapes[shape["$ref"].split("/")[-1]] if "$ref" in shape else shape


# The values of a shape, one of each type that it takes.
def values(shape):
    shape = resolved(shape)
    if "anyOf" in shape:
        return [value for one in shape["anyOf"] for value in values(one)]
    if "const" in shape:
        return [shape["const"]]
    if "enum" in shape:
        return shape["enum"]
    types = shape.get("type", ["null", "boolean", "number", "string", "array", "object"])
    return [of_type(shape, kind) for kind in ([types] if isinstance(types, str) else types)]


def of_type(shape, kind):
    if kind == "object":
        return smallest(shape)
    if kind == "array":
        return [values(shape["items"])[0] for _ in range(shape.get("minItems", 1))] if "items" in shape else []
    if kind in ("number", "integer"):
        return shape.get("minimum", 1)
    return {"null": None, "boolean": True, "string": "text"}[kind]


# The smallest object: the keys that it has to have.
def smallest(shape):
    if "properties" not in shape:
        return {"field": values(shape["additionalProperties"])[0]} if shape.get("minProperties") else {}
    keys = list(shape.get("required", []))
    for rule in shape.get("allOf", []):
        wanted = [one["required"][0] for one in rule.get("oneOf", rule.get("anyOf")) if "required" in one]
        if not any("not" in one for one in rule.get("oneOf", [])) and not set(wanted) & set(keys):
            keys.append(wanted[0])
    return {key: values(shape["properties"][key])[0] for key in keys}


# Each object that the schema knows, once: how a definition comes to have it, and at which place.
def objects():
    seen = set()
    waiting = [(shapes["definition"], "$", lambda value: value)]
    while waiting:
        shape, path, put = waiting.pop(0)
        if id(shape) in seen:
            continue
        seen.add(id(shape))
        for one in shape.get("anyOf", []):
            waiting.append((resolved(one), path, put))
        if "items" in shape:
            n = max(shape.get("minItems", 1), 1)
            first = values(shape["items"])[0]
            waiting.append((resolved(shape["items"]), path + "[0]", lambda value, put=put, n=n, first=first: put([value] + [first] * (n - 1))))
        if isinstance(shape.get("additionalProperties"), dict):
            waiting.append((resolved(shape["additionalProperties"]), path + ".field", lambda value, put=put: put({"field": value})))
        if "properties" in shape:
            yield shape, path, put
            for key, member in shape["properties"].items():
                waiting.append((resolved(member), path + "." + key,
                    lambda value, put=put, shape=shape, key=key: put(dict(smallest(shape), **{key: value}))))


def samples():
    for shape, path, put in objects():
        for key, member in shape["properties"].items():
            for value in values(member):
                print("%s.%s\t%s" % (path, key, json.dumps(put(dict(smallest(shape), **{key: value})))))


{"valid": valid, "samples": samples}[sys.argv[1]]()
