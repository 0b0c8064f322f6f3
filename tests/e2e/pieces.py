"""Files longer than a piece, sent by kanhe --connect: every line arrives once, in order and whole, whatever the file looks like."""
import csv
import io
import json
import threading
from kanhe import *
from authority import Authority
from standin import Standin, lines

tap = Tap()
d = Directory(init=False)
ca = Authority(d.root)
cert, key = ca.party(1, "regulator")
server = ca.server()
OPTIONS = ["--ca", ca.cert, "--cert", cert, "--key", key]
guard, under_way, most = threading.Lock(), 0, 0


def parameters(request):
    from urllib.parse import parse_qs, urlsplit
    return {k: v[0] for k, v in parse_qs(urlsplit(request["target"]).query).items()}


def answer(request):
    """A row a record, with the line on which it begins in the piece, told apart by its own eyes."""
    global under_way, most
    with guard:
        under_way += 1
        most = max(most, under_way)
    offset = int(parameters(request).get("line_offset", 0))
    text = request["body"].decode("utf-8-sig") if request["body"][:1] != b"\xc8" else request["body"].decode("gb18030")
    rows = []
    if text.lstrip().startswith("{"):
        rows = [{"row": "x", "line": n + offset, "text": line} for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    else:
        reader, before = csv.reader(io.StringIO(text, newline=""), strict=False), 0
        for cells in reader:
            line, before = before + 1, reader.line_num
            if cells and line > 1:
                rows.append({"row": "x", "line": line + offset, "text": ",".join(cells)})
    counts = {"row": "import", "file": parameters(request)["name"], "format": "csv", "read": len(rows), "stored": len(rows), "refused": 0}
    yield lines(rows + ([counts] if request["target"].startswith("/v1/documents") else []))
    with guard:
        under_way -= 1


hub = Standin(ca, server, answer)


def send(command, text, *words, encoding="utf-8", stdin=False):
    """(rows printed, bodies sent)"""
    global most
    del hub.requests[:]
    most = 0
    path = d.file("long", text.encode(encoding))
    words = [COMMAND, "--connect", hub.url, *OPTIONS, "--json", *command, "-" if stdin else path, *words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, stdin=open(path) if stdin else None)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], list(hub.requests)


def record(i, note="", currency="USD"):
    return f"export_declaration,{declaration(i)},{USCC_A},{currency},{i}.00,2026-11-01,{note}"


HEAD = "kind,number,owner_id,currency,amount,date,contract_no\n"
many = 40000

# ---- plain
text = HEAD + "".join(record(i) + "\n" for i in range(many))
rows, requests = send(["verify"], text)
tap.same([r["line"] for r in rows], list(range(2, many + 2)), "verify: every line once, in order")
tap.ok(all(r["text"].split(",")[1] == declaration(r["line"] - 2) for r in rows), "verify: a line's number is its place in the file")
tap.ok(len(requests) >= 3 and all(len(r["body"]) < 8 << 20 for r in requests), "verify: in pieces", [len(r["body"]) for r in requests])
tap.ok(1 < most <= 4, "verify: several pieces under way, at most 4", most)
rows, requests = send(["verify"], text, stdin=True)
tap.same([r["line"] for r in rows], list(range(2, many + 2)), "verify: from standard input")

# ---- awkward: quotes with line ends inside, blank lines, CRLF, another encoding
text = HEAD.replace("contract_no", "合同号") + "\n \t\r\n" + "".join(
    record(i, '"说明 ""甲""\n第二行, 与逗号"' if i % 3 == 0 else "合同") + ("\r\n" if i % 2 else "\n") + ("\n" if i % 1000 == 0 else "") for i in range(many))
wanted, at = [], 4
for i in range(many):
    wanted.append(at)
    at += (2 if i % 3 == 0 else 1) + (1 if i % 1000 == 0 else 0)
for encoding in ("utf-8", "utf-8-sig", "gb18030"):
    rows, requests = send(["verify"], text, encoding=encoding)
    tap.ok([r["line"] for r in rows] == wanted and [r["text"].split(",")[1] for r in rows] == [declaration(i) for i in range(many)],
           f"{encoding}: quotes, blank lines and CRLF keep their places", f"{len(rows)} rows, first {rows[:3]}")
    tap.ok(len(requests) >= 3 and all("合同" in r["body"].decode("utf-8-sig") for r in requests), f"{encoding}: pieces are UTF-8")

# ---- what belongs together
for command, columns in ((["import"], 2), (["finance", "apply", "--file"], 0)):
    if columns:
        text = HEAD + "".join(record(i // 3, currency=("USD", "EUR", "CNY")[i % 3]) + "\n" for i in range(many))
    else:
        text = "id,enterprise,product,amount,currency,kind,number\n" + "".join(
            f"{i // 7},101,export_receivable,10.00,USD,export_declaration,{declaration(i)}\n" for i in range(many))
    rows, requests = send(command, text)
    keys = [[tuple(line.split(",")[:columns or 1]) for line in r["body"].decode("utf-8-sig").splitlines()[1:]] for r in requests]
    tap.ok(len(keys) >= 2 and all(a[-1] != b[0] for a, b in zip(keys, keys[1:])), f"{command[0]}: lines of one thing stay in one piece")
    tap.ok(most == 1, f"{command[0]}: what changes something goes one piece after another", most)
    if columns:
        tap.same({k: v for k, v in rows[-1].items() if k != "file"}, {"format": "csv", "read": many, "stored": many, "refused": 0}, "import: one row of counts")
        tap.same(len([r for r in rows if "read" in r]), 1, "import: and only one")

# ---- a line that cannot be read parts no financing
for at in range(2):
    text = "id,enterprise,product,amount,currency,kind,number\n" + "".join(
        ("x,y\n" if at else '"x\n') if i % 7 == 3 else f"{i // 7},101,export_receivable,10.00,USD,export_declaration,{declaration(i)}\n" for i in range(many))
    rows, requests = send(["finance", "apply", "--file"], text)
    keys = [[line.split(",")[0] for line in r["body"].decode("utf-8-sig").splitlines()[1:] if line[0] not in '"x'] for r in requests]
    tap.ok(len(keys) >= 2 and all(a[-1] != b[0] for a, b in zip(keys, keys[1:])), f"with a line in each that cannot be read, they stay in one piece, {at}")

# ---- JSON Lines
text = "".join(json.dumps({"kind": "export_declaration", "number": declaration(i), "owner_id": USCC_A, "note": "x" * (i % 50)}) + "\n" for i in range(many))
rows, requests = send(["verify"], text)
tap.ok([r["line"] for r in rows] == list(range(1, many + 1)) and len(requests) >= 3, "JSON Lines", f"{len(rows)} {len(requests)}")

# ---- a header that is refused is refused once
usual = hub.answer
for command in (["verify"], ["import"], ["finance", "apply", "--file"]):
    hub.answer = lambda r: [lines([{"row": "x", "line": 1 + int(parameters(r).get("line_offset", 0)), "code": 10, "name": "FORMAT"}])]
    rows, requests = send(command, "id," + HEAD + "".join(f"{i}," + record(i) + "\n" for i in range(many)))
    tap.ok([r["line"] for r in rows] == [1] and len(requests) <= (4 if command == ["verify"] else 1), f"{command[0]}: of a file in pieces too", (rows[:3], len(requests)))
hub.answer = usual

# ---- whole: XML, and a header that is none
text = "<Invoice>" + "<a>1</a>\n" * 200000 + "</Invoice>"
hub.answer = lambda r: [lines([{"row": "x", "n": len(r["body"])}])]
rows, requests = send(["import"], text)
tap.same([r["n"] for r in rows], [len(text)], "XML goes whole")
text = "foo,bar\n" + "1,2\n" * 400000
rows, requests = send(["verify"], text)
tap.same([r["n"] for r in rows], [len(text)], "a file with no header goes whole: the hub says what is wrong")
d.close()
tap.end()
