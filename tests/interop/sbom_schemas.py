#!/usr/bin/env python3
"""Validates the store's bills of materials with the validators of the two formats' own projects.

The documents are the snapshots that the unit tests of image-scan hold fixed. The validators (cyclonedx-python-lib with the
official schemas, spdx-tools) are installed once into a cache outside the tree.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import venv

PACKAGES = ["cyclonedx-python-lib[json-validation]==11.12.0", "spdx-tools==0.8.5"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
SNAPSHOTS = ROOT / "crates/image-scan/src/sbom/snapshots"
TOOLS = pathlib.Path(
    os.environ.get("COMPANY_STORE_TOOLS")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "company-store/tools"
)


def snapshot(name):
    """The JSON of a snapshot file, which begins with a header between two lines of hyphens."""
    text = (SNAPSHOTS / f"image_scan__sbom__tests__{name}_of_a_small_image.snap").read_text()
    return json.loads(text.split("\n---\n", 1)[1])


def run_in_tools():
    """Goes on in a virtual environment that has the validators."""
    home = TOOLS / "sbom-schemas-1"
    python = home / "bin/python"
    if not (home / "complete").exists():
        print(f"installing {', '.join(PACKAGES)} into {home}", flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (home / "complete").touch()
    os.execv(python, [str(python), __file__, "validate"])


def cyclonedx_errors(document):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    return [str(error)] if error else []


def spdx_errors(document):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    with tempfile.NamedTemporaryFile("w", suffix=".spdx.json") as file:
        json.dump(document, file)
        file.flush()
        parsed = parse_file(file.name)
    return [message.validation_message for message in validate_full_spdx_document(parsed)]


def validate():
    cyclonedx, spdx = snapshot("cyclonedx"), snapshot("spdx")
    failures = [f"CycloneDX: {e}" for e in cyclonedx_errors(cyclonedx)] + [f"SPDX: {e}" for e in spdx_errors(spdx)]
    # The validators must be able to say no.
    del cyclonedx["bomFormat"]
    spdx["packages"][0]["SPDXID"] = "no id"
    if not cyclonedx_errors(cyclonedx):
        failures.append("the CycloneDX validator accepts a document without bomFormat")
    try:
        if not spdx_errors(spdx):
            failures.append("the SPDX validator accepts a malformed SPDXID")
    except Exception as refused:  # the parser raises on what it cannot build
        print(f"spdx-tools refused the broken document: {type(refused).__name__}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print("sbom_schemas:", "FAILED" if failures else "CycloneDX 1.6 and SPDX 2.3 valid")
    return 1 if failures else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["validate"]:
        sys.exit(validate())
    run_in_tools()
