"""A stand-in for a hub: TLS 1.3 with client certificates and canned answers, some of them bad. For what a sound hub never does."""
import json
import socket
import ssl
import threading
import time


class Standin:
    """answer(request) gives the parts of an answer: bytes to send, a float to sleep, None to cut the connection."""

    def __init__(self, authority, server, answer):
        self.answer, self.requests, self.connections = answer, [], 0
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3
        self.context.load_cert_chain(*server)
        self.context.load_verify_locations(authority.cert)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.stopped = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as s, s.makefile("rb") as f:
                while True:
                    line = f.readline().split()
                    if len(line) < 2:
                        return
                    headers = {}
                    while True:
                        text = f.readline().strip()
                        if not text:
                            break
                        name, _, value = text.decode().partition(":")
                        headers[name.lower()] = value.strip()
                    body = f.read(int(headers.get("content-length", 0)))
                    request = {"method": line[0].decode(), "target": line[1].decode(), "headers": headers, "body": body}
                    self.requests.append(request)
                    for part in self.answer(request):
                        if part is None:
                            return
                        if isinstance(part, float):
                            if self.stopped.wait(part):
                                return
                        else:
                            s.sendall(part)
        except (OSError, ssl.SSLError, ValueError):
            pass

    def stop(self):
        self.stopped.set()
        self.listener.close()


def lines(rows, status=0, message="", next_=None, http="200 OK"):
    """A whole answer of rows, as lines."""
    end = {"end": True, "status": status, "message": message, **({"next": next_} if next_ else {})}
    body = b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in [*rows, end])
    return head(len(body), http=http) + body


def head(length, kind="application/x-ndjson", http="200 OK"):
    return f"HTTP/1.1 {http}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
