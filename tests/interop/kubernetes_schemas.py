#!/usr/bin/env python3
"""Writes the JSON schemas of the kinds that the chart makes as files that stand alone, which kubeconform wants.

kubernetes-validate keeps the definitions that all kinds share in one file beside them.
"""

import json
import pathlib
import sys

KINDS = [
    "deployment-apps-v1",
    "ingress-networking-v1",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "poddisruptionbudget-policy-v1",
    "service-v1",
]


def read(path):
    return json.loads(path.read_text().replace("/api/_definitions.json#", "#"))


def main(source, target):
    target.mkdir(parents=True, exist_ok=True)
    definitions = read(source / "_definitions.json")["$defs"]
    for kind in KINDS:
        schema = read(source / f"{kind}.json")
        for key in ("$id", "$schema"):
            schema.pop(key, None)
        (target / f"{kind}.json").write_text(json.dumps(schema | {"$defs": definitions}))


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
