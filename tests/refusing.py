"""A stand-in between us and a real object server: what a test names it refuses, with the documents
that S3 and its kin send for it; all else the real server answers.

No server can be asked to have a full quota, a lock or too much to do. The documents are as Amazon's
error list has them; QuotaExceeded is Ceph's, and ObjectLocked is MinIO's.
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

DOCUMENTS = {
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "AccessDenied": (403, "Access Denied"),
    "RequestTimeTooSkewed": (
        403, "The difference between the request time and the current time is too large."
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "QuotaExceeded": (403, "The quota of this bucket or user is exceeded."),
    "ObjectLocked": (400, "Object is WORM protected and cannot be overwritten"),
}  # fmt: skip
_NOT_PASSED_ON = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class Refusing:
    """``refuses`` is a code of DOCUMENTS, for the ``verbs`` that a test names; None = nothing.
    ``asked`` counts what was asked for, by verb; after ``let_pass`` of them it refuses."""

    endpoint: str = ""
    refuses: str | None = None
    verbs: tuple[str, ...] = ()
    let_pass: int = 0
    asked: dict[str, int] = field(default_factory=dict)

    def refuse(self, code: str | None, *verbs: str, let_pass: int = 0) -> None:
        self.refuses, self.verbs, self.let_pass, self.asked = code, verbs, let_pass, {}

    def judges(self, verb: str) -> str | None:
        """Counts it, and says the code that it is refused with."""
        self.asked[verb] = self.asked.get(verb, 0) + 1
        meant = not self.verbs or verb in self.verbs
        return self.refuses if meant and self.asked[verb] > self.let_pass else None


def verb_of(method: str, path: str) -> str:
    """As the protocol calls it."""
    asked = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if method == "PUT":
        return "UploadPart" if "partNumber" in asked else "PutObject"
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in asked else "CompleteMultipartUpload"
    return {"GET": "GetObject", "HEAD": "HeadObject"}.get(method, method)


@contextmanager
def in_front_of(endpoint: str) -> Iterator[Refusing]:
    """One that leads to the server at ``endpoint``."""
    real = urlsplit(endpoint)
    front = Refusing()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if code := front.judges(verb_of(self.command, self.path)):
                self.say(code)
            else:
                self.pass_on(body)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def say(self, code: str) -> None:
            status, words = DOCUMENTS[code]
            text = (
                f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
                f"<Message>{words}</Message><Resource>{urlsplit(self.path).path}</Resource>"
                "<RequestId>4442587FB7D0A2F9</RequestId></Error>"
            ).encode()
            self.end(status, [("Content-Type", "application/xml")], text)

        def pass_on(self, body: bytes) -> None:
            # The signature is of the host that we are taken for, and the server believes that.
            there = http.client.HTTPConnection(real.hostname or "", real.port, timeout=60)
            try:
                there.request(self.command, self.path, body, dict(self.headers.items()))
                said = there.getresponse()
                data = said.read()
            finally:
                there.close()
            kept = [(k, v) for k, v in said.getheaders() if k.lower() not in _NOT_PASSED_ON]
            length = said.getheader("Content-Length") if self.command == "HEAD" else None
            self.end(said.status, kept, data, length)

        def end(
            self,
            status: int,
            headers: list[tuple[str, str]],
            data: bytes,
            length: str | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    front.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
