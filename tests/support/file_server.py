"""A real HTTP server on localhost that breaks, forgets and corrupts as it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class FileServer(ThreadingHTTPServer):
    """Serves the bytes in ``files`` (path -> bytes) and notes each request in ``requests``: (path, Range or None).

    ``ranges`` says whether it can continue a file. ``breaks`` are, for the next requests, the positions in the file at
    which their connection breaks. ``versions`` (path -> ETag) are sent, and compared with If-Range.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.versions: dict[str, str] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.breaks: list[int] = []
        self.ranges = True

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request, client_address):
        """Print nothing: clients may leave."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers["Range"]
        server.requests.append((self.path, wanted))
        content = server.files.get(self.path)
        if content is None:
            return self.send_error(404)
        version, start = server.versions.get(self.path), 0
        if wanted and server.ranges and self.headers["If-Range"] in (None, version):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if version:
            self.send_header("ETag", version)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = server.breaks.pop(0) if server.breaks else len(content)
        self.wfile.write(content[start:end])

    def log_message(self, *arguments):
        """Print nothing."""


@contextmanager
def serving() -> Iterator[FileServer]:
    """A server that runs while the block does."""
    server = FileServer()
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
