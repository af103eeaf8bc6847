"""Sends publish calls one after the other, cancels their intakes, and prints the median and the 99th percentile of their time in milliseconds.

    publish_latency.py STORE_URL EMAIL PASSWORD_FILE ORGANIZATION IMAGE MANIFEST CALLS
"""

import http.client
import json
import sys
import time
from urllib.parse import urlsplit


def call(connection, path, body, headers):
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    answer = response.read()
    if response.status not in (200, 202):
        sys.exit(f"{path} is answered with {response.status}: {answer[:500]!r}")
    return json.loads(answer)


def main():
    url, email, password_file, organization, image, manifest_file, calls = sys.argv[1:]
    with open(password_file) as file:
        password = file.read().strip()
    with open(manifest_file) as file:
        manifest = json.load(file)
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    login = call(connection, "/v1/auth/login", {"email": email, "password": password}, {})
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    times = []
    for number in range(int(calls)):
        body = {"imageRef": image, "manifest": {**manifest, "version": f"2.0.{number}"}, "orgId": organization, "scope": "org"}
        begun = time.perf_counter()
        accepted = call(connection, "/v1/modules/publish", body, headers)
        times.append((time.perf_counter() - begun) * 1000)
        # Only the call is measured; the intake would compete with the others.
        call(connection, f"/v1/intakes/{accepted['publishId']}/cancel", {}, headers)
    times.sort()
    print(f"{times[len(times) // 2]:.1f} {times[min(len(times) - 1, len(times) * 99 // 100)]:.1f}")


main()
