#!/usr/bin/env python3
"""Makes the signed manifests beside this file: signs as the HLA-Compass client does, with keys that are thrown away.

Needs the package `cryptography`. What the client does is told from its behaviour; nothing of it is used here.
"""

import base64
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

HERE = pathlib.Path(__file__).parent


PLAIN = {
    "version": "1.0.0",
    "name": "peptide-ranker",
    "type": "no-ui",
    "schemaVersion": "1.0",
    "execution": {"supports": ["interactive"], "entrypoint": "backend.main:Ranker"},
}

TRICKY = {
    **PLAIN,
    "\U0001f600": "behind \uffff by code point, before it in UTF-16",
    "\uffff": "the last of its plane",
    "Z": "before a",
    "text": "\u00e9 \u2028 \x7f \x01 \x1f \b\f\n\r\t \" \\ / \U0001f9ec",
    "numbers": [1.0, 1e16, 1e-07, -0.0, 5e-324, 9007199254740993, 123456789012345678901234567890, -1, 0.1],
    "empty": {"object": {}, "array": [], "string": ""},
    "literals": [True, False, None],
    "nested": {"integrity": "is signed here", "b": [{"d": 1, "c": [[]]}], "a": 2},
}


def main():
    key = rsa.generate_private_key(public_exponent=65537, key_size=4096)
    small = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    odd = rsa.generate_private_key(public_exponent=65537, key_size=2049)
    write("plain", PLAIN, key)
    write("tricky", TRICKY, key)
    write("rsa-2048", PLAIN, small)
    # A modulus of 8 n + 1 bits has one byte less of room for the salt.
    write("rsa-2049", PLAIN, odd)
    write("salt-32", PLAIN, key, salt=32)


def write(name, manifest, key, salt=padding.PSS.MAX_LENGTH):
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = {
        **manifest,
        "signature": base64.b64encode(key.sign(canonical, pss, hashes.SHA256())).decode(),
        "publicKey": base64.b64encode(public).decode(),
        "keyFingerprint": base64.b64encode(hashlib.sha256(public).digest()).decode(),
        "signatureAlgorithm": "RSA-PSS",
        "hashAlgorithm": "SHA-256",
    }
    (HERE / f"{name}.json").write_text(json.dumps(signed))
    (HERE / f"{name}.canonical").write_bytes(canonical)


if __name__ == "__main__":
    main()
