"""A receiver of webhooks that knows nothing of the store: it believes what the library `standardwebhooks` verifies.

    receiver.py PORT SECRET_FILE LOG

Answers 204 to a delivery that verifies and that no longer does when a byte of it is altered, 400 to any other; writes
one JSON line per request.
"""

import http.server
import json
import pathlib
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verifies(secret, body, headers):
    try:
        return Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return None


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        secret = SECRET.read_text().strip()
        event = verifies(secret, body, headers)
        altered = verifies(secret, body.replace(b'"1.0"', b'"1.1"'), headers)
        is_good = event is not None and altered is None
        with LOG.open("a") as log:
            log.write(json.dumps({"verified": is_good, "event": event, "id": headers.get("webhook-id")}) + "\n")
        self.send_response(204 if is_good else 400)
        self.end_headers()

    def log_message(self, *_):
        pass


port, SECRET, LOG = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
