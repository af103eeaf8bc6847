"""Lists archives with Python's tarfile: one line "<compression> <path>" in, one line of JSON out."""

import hashlib
import json
import sys
import tarfile


def text(name):
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def item(archive, member):
    if member.isreg():
        content, hashed = archive.extractfile(member), hashlib.sha256()
        # In pieces: the size may be a lie that no memory holds.
        while piece := content.read(65536):
            hashed.update(piece)
        return ["f", text(member.name), max(0, min(member.size, 2**63)), "", hashed.hexdigest()]
    if member.issym() or member.islnk():
        return ["l" if member.issym() else "h", text(member.name), 0, text(member.linkname), ""]
    return ["d" if member.isdir() else "s", text(member.name), 0, "", ""]


def listing(compression, path):
    if compression == "zstd":
        return {"unsupported": True}
    try:
        with tarfile.open(path, {"plain": "r:", "gzip": "r:gz"}[compression], encoding="utf-8") as archive:
            return {"items": [item(archive, member) for member in archive]}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(listing(*line.rstrip("\n").split(" ", 1))), flush=True)
