"""kanhe --connect against hubs that stall, break off, or are not to be believed: exit 3, a sentence that says what to do, in time."""
import json
import socket
import threading
import time
from kanhe import *
from authority import Authority
from standin import Standin, head, lines

tap = Tap()
d = Directory(init=False)
ca, other = Authority(d.root), Authority(d.root, "other")
cert, key = ca.party(11, "bank")
server = ca.server()
VERDICT = {"row": "verdict", "line": 2, "kind": "export_declaration", "number": declaration(1), "issuer": None, "code": 0, "name": "OK", "mismatch": [],
           "status": "cleared", "currency": "USD", "free": "1.00", "version": 1, "as_of": 7}
PRINTED = {k: v for k, v in VERDICT.items() if k != "row"}


def ask(url, *words, ca_file=None, identity=(cert, key), json_=True, **more):
    began = time.monotonic()
    options = ["--connect", url, *(["--ca", ca_file or ca.cert] if ca_file != "" else []), "--cert", identity[0], "--key", identity[1]]
    done = subprocess.run([COMMAND, *options, *(["--json"] if json_ else []), *map(str, words)], capture_output=True, text=True, timeout=60, cwd=d.root, **more)
    done.took = time.monotonic() - began
    done.rows = [json.loads(line) for line in done.stdout.splitlines()] if json_ else None
    return done


def failed(done, sentence, name):
    tap.ok(done.returncode == 3 and sentence in done.stderr and done.stderr.count("\n") == 1, name, f"{done.returncode} {done.stderr} {done.stdout}")


# ---- not to be believed
sound = Standin(ca, server, lambda r: [lines([VERDICT])])
done = ask(sound.url, "balance", "x:1")
tap.same((done.rows, done.returncode, done.stderr), ([PRINTED], 0, ""), "a sound answer")
failed(ask(sound.url, "balance", "x:1", ca_file=other.cert), "was not signed by the authority in", "another authority")
failed(ask("https://hub.invalid:1", "balance", "x:1"), "there is no such host", "a name that nobody has")
expired = Standin(ca, ca.server("expired", days=-1), lambda r: [lines([VERDICT])])
failed(ask(expired.url, "balance", "x:1"), "is out of its time (certificate has expired)", "an expired certificate")
elsewhere = Standin(ca, ca.server("elsewhere", "DNS:hub.example"), lambda r: [lines([VERDICT])])
failed(ask(elsewhere.url, "balance", "x:1"), "is not for that name or address", "a certificate for another name")
failed(ask(sound.url, "balance", "x:1", identity=other.party(11, "bank")), "connection to", "our own certificate is another authority's")
failed(ask("https://127.0.0.1:1", "balance", "x:1"), "cannot be reached", "nobody listens")
failed(ask(sound.url, "balance", "x:1", identity=(cert, server[1])), "cannot be used", "a key of another pair")
failed(ask(sound.url, "balance", "x:1", ca_file=key), "holds no certificate of an authority", "a file that is no authority's")
plain = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=lambda: plain.accept()[0].sendall(b"HTTP/1.1 200 OK\r\n\r\nhello"), daemon=True).start()
failed(ask(f"https://127.0.0.1:{plain.getsockname()[1]}", "balance", "x:1"), "does not speak TLS 1.3", "no TLS at all")

# ---- stalls and breaks
count = 1200  # more than is held back for a moment
body = "".join(json.dumps({**VERDICT, "line": i + 2}) + "\n" for i in range(count)).encode()
stalling = Standin(ca, server, lambda r: [head(10 * len(body)), body, 30.0])
batch = d.file("batch.csv", HEADER + f"export_declaration,{declaration(1)},{USCC_A},USD,1.00,2026-11-01\n")
done = ask(stalling.url, "--timeout", "0.7", "verify", batch)
failed(done, "gave no sign of life for 0.7 s", "a hub that stalls in its answer")
tap.ok(len(done.rows) == count and 0.7 <= done.took < 50, "what it had answered is printed, and the time-out is kept", f"{len(done.rows)} rows, {done.took} s")
mute = Standin(ca, server, lambda r: [30.0])
done = ask(mute.url, "--timeout", "0.7", "stats")
failed(done, "gave no sign of life", "a hub that never answers")
deaf = socket.create_server(("127.0.0.1", 0))
done = ask(f"https://127.0.0.1:{deaf.getsockname()[1]}", "--timeout", "0.7", "stats")
failed(done, "gave no sign of life", "a hub that never shakes hands")
cutting = Standin(ca, server, lambda r: [head(10 * len(body)), body, None])
done = ask(cutting.url, "verify", batch)
failed(done, "broke before its answer was whole", "a connection that is cut")
tap.same(len(done.rows), count, "what had come is printed")
endless = json.dumps({"end": True, "status": 0, "message": ""}).encode() + b"\n"
eighths = [body[i * len(body) // 8:(i + 1) * len(body) // 8] for i in range(8)]
slow = Standin(ca, server, lambda r: [head(len(body) + len(endless)), *(part for e in eighths for part in (0.2, e)), 0.2, endless])
done = ask(slow.url, "--timeout", "0.7", "verify", batch)
tap.same((len(done.rows), done.returncode), (count, 0), "a slow hub that goes on is waited for")

# ---- answers that are none
for name, parts in (("a page of another server", [head(5, "text/html") + b"hello"]), ("JSON of another server", [head(13, "application/json") + b'{"hello": [1]}'[:13]]),
                    ("no end", [head(len(body)) + body]), ("a broken row", [head(9) + b'{"row":1\n'])):
    strange = Standin(ca, server, lambda r, parts=parts: parts)
    failed(ask(strange.url, "stats"), "does not answer as a hub does", name)
    strange.stop()

# ---- what a hub says is passed on
said = Standin(ca, server, lambda r: [lines([], 2, "limit: a number from 1 to 10000", http="400 Bad Request")])
done = ask(said.url, "stats")
tap.ok(done.returncode == 2 and "limit: a number" in done.stderr, "misuse is the hub's word", done.stderr)
document = json.dumps({"results": [{"row": "refused", "code": 71, "name": "FROZEN"}], "status": 1, "message": "FROZEN: this party is frozen"}).encode()
said.answer = lambda r: [head(len(document), "application/json", "403 Forbidden") + document]
done = ask(said.url, "stats")
tap.same((done.rows, done.returncode, done.stderr), ([{"code": 71, "name": "FROZEN"}], 1, "kanhe: FROZEN: this party is frozen\n"), "an answer that is one document")

# ---- a hub that is busy
busy = json.dumps({"results": [], "status": 3, "message": "the hub is busy; try again"}).encode()
refusal = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(busy) + busy
patient = Standin(ca, server, lambda r: [refusal] if len(patient.requests) < 3 else [lines([VERDICT])])
for words in (("stats",), ("verify", batch)):
    del patient.requests[:]
    done = ask(patient.url, *words)
    tap.same((done.rows, done.returncode, len(patient.requests)), ([PRINTED], 0, 3), f"{words[0]}: a hub that is busy is asked again")
patient.answer = lambda r: [refusal]
done = ask(patient.url, "--timeout", "1.5", "stats")
tap.ok(done.returncode == 3 and "the hub is busy" in done.stderr and done.took < 50, "but not for ever", f"{done.stderr} {done.took}")

# ---- pages, and one connection for all of them
pages = Standin(ca, server, lambda r: [lines([{"row": "alert", "height": 2 if "after=" in r["target"] else 1, "time": "t\u00e9\u4e2d\U0001F600\"\\\n"}], next_=None if "after=" in r["target"] else "a b&c")])
done = ask(pages.url, "alerts")
tap.same(([r["height"] for r in done.rows], done.rows[0]["time"], [r["target"] for r in pages.requests], pages.connections),
         ([1, 2], "t\u00e9\u4e2d\U0001F600\"\\\n", ["/v1/alerts", "/v1/alerts?after=a%20b%26c"], 1), "pages follow each other on one connection")

# ---- who asks
tap.same((ask(pages.url, "alerts", "--as", 11).returncode, pages.requests[-1]["target"]), (0, "/v1/alerts?after=a%20b%26c"), "--as with our own id asks nobody")
before = len(pages.requests)
done = ask(pages.url, "alerts", "--as", 12)
tap.same((done.rows, done.returncode, len(pages.requests)), ([{"code": 70, "name": "NOT_AUTHORISED"}], 1, before), "--as with another's id is refused without a word to the hub")
me = Standin(ca, server, lambda r: [lines([{"row": "party", "id": 11, "name": "Bank A", "role": "bank", "status": "active"}] if r["target"] == "/v1/me" else [])])
tap.same([ask(me.url, "alerts", "--as", name).returncode for name in ("Bank A", "Bank B")], [0, 1], "--as with a name: the hub says who we are")

# ---- usage
for words, text in (((), "--connect needs --cert and --key"), (("--data", "x"), "exclude each other"), (("--timeout", "0", "--cert", cert, "--key", key), "--timeout takes seconds"),
                    (("--cert", cert), "give both")):
    done = subprocess.run([COMMAND, "--connect", sound.url, *words, "stats"], capture_output=True, text=True)
    tap.ok(done.returncode == 2 and text in done.stderr, f"usage: {text}", done.stderr)
done = subprocess.run([COMMAND, "--ca", "x", "stats"], capture_output=True, text=True)
tap.ok(done.returncode == 2 and "goes with --connect" in done.stderr, "usage: --ca without --connect", done.stderr)
environment = {**os.environ, "KANHE_CONNECT": sound.url, "KANHE_CA": ca.cert, "KANHE_CERT": cert, "KANHE_KEY": key}
done = subprocess.run([COMMAND, "--json", "stats"], capture_output=True, text=True, env=environment)
tap.same(json.loads(done.stdout or "{}"), PRINTED, "the environment says where and who")
d.close()
tap.end()
