"""The same commands, embedded and by --connect, on fresh data: the same output, files and exit status, heights and times aside."""
import json
import re
from kanhe import *
from trial import Trial

tap = Tap()
hub = Trial()
here = Directory(init=False)
K = "export_declaration:"
VOLATILE = {"height", "as_of", "time", "watermark", "deadline", "since", "log_digest", "digest", "entries", "at"}

# ---- the same parties here as tools/hub made there
listed, status = hub.rows(1, "party", "list")
assert status == 0, hub.stderr
assert here.status("init") == 0
for p in listed:
    assert here.status("party", "add", "--id", p["id"], "--role", p["role"], "--name", p["name"], *(["--uscc", p["uscc"]] if p.get("uscc") else [])) == 0


def write(name, text):
    for folder in (here.root, hub.work):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())


def settled(rows):
    def one(row):
        return {k: ([one(r) if isinstance(r, dict) else r for r in v] if isinstance(v, list) else v) for k, v in row.items() if k not in VOLATILE
                and not (k == "party" and v in (0, 1))}
    return [one(r) for r in rows]


def keys(rows):
    return [list(r) for r in rows]


def both(party, *words, name=None):
    """Embedded as `party` (1: the operator; 201: a file's --source says it) against --connect with that party's certificate."""
    as_ = ["--as", party] if party not in (1, 201) else []
    mine, there = here.raw("--json", *words, *as_), hub.raw(party, "--json", *words)
    a, b = ([json.loads(line) for line in done.stdout.splitlines()] for done in (mine, there))
    tap.ok((settled(a), keys(a), mine.returncode) == (settled(b), keys(b), there.returncode), name or f"{party}: {' '.join(map(str, words))}",
           f"here  {mine.returncode} {a} {mine.stderr}\nthere {there.returncode} {b} {there.stderr}")
    return b


def same_file(name):
    texts = [re.sub(r",\d+(,[-0-9T:.]*Z?)?$", ",H", open(os.path.join(folder, name), encoding="utf-8").read(), flags=re.M) if os.path.exists(os.path.join(folder, name)) else None
             for folder in (here.root, hub.work)]
    tap.ok(texts[0] is not None and texts[0] == texts[1], f"the same {name}", f"here\n{texts[0]}\nthere\n{texts[1]}")


D = [declaration(i) for i in range(20)]
line = "export_declaration,{},{},{},{},2026-11-01\n".format
write("d.csv", HEADER + "".join(line(D[i], USCC_A, "USD", "1000.00") for i in range(10)) + line(D[10], USCC_A, "USD", "1.00") + line(D[10], USCC_A, "EUR", "2.00"))
write("bad.csv", HEADER + line("123456789", USCC_A, "USD", "1.00") + line(D[11], USCC_A, "USD", "1.001") + line(D[12], USCC_A, "USD", '"1,0"')
      + line(D[1], USCC_B, "USD", "1000.00") + line(D[13], USCC_A, "USD", "5.00"))
write("gb.csv", ("报关单号,统一社会信用代码,币种,金额,日期,合同号\n" + f"{D[14]},{USCC_A},USD,10.00,2026-11-01,合同一\n").encode("gb18030"))
write("lines.jsonl", json.dumps({"kind": "export_declaration", "number": D[15], "owner_id": USCC_A, "currency": "USD", "amount": "7.00", "date": "2026-11-01"}) + "\n{broken\n")
write("amend.csv", HEADER + line(D[2], USCC_A, "USD", "10.00"))
write("nothing.csv", "")
write("nonsense.csv", "foo,bar\n1,2\n")
write("v.csv", HEADER + line(D[0], USCC_A, "USD", "1000.00") + line(D[0], USCC_B, "USD", "1000.00") + line(D[0], USCC_A, "USD", "1.00") + line(D[19], USCC_A, "USD", "1.00")
      + line("1", USCC_A, "USD", "1.00") + line(D[1], "", "USD", "1000.00"))

# ---- rules, rates, documents
both(1, "party", "list")
both(1, "rule", "set", "ratio_bp.product.export_order", "8000")
both(1, "rule", "set", "nonsense", "1")
both(1, "rule", "list")
both(1, "rate", "set", "EUR", "USD", "1.0834", "--date", "2026-11-01", "--source", "ECB")
both(1, "rate", "list")
both(201, "import", "d.csv", "--source", "Customs")
both(1, "import", "d.csv", "bad.csv", "gb.csv", "lines.jsonl", "nothing.csv", "nonsense.csv")
same_file("bad.csv.refused.csv")
same_file("lines.jsonl.refused.csv")
both(1, "import", "missing.csv")
both(1, "import", "d.csv", "--format", "nonsense")
both(1, "show", "bad.csv")
both(1, "show", "lines.jsonl", "--format", "jsonl")
for p in (1, 11):
    both(p, "verify", "v.csv", "-o", "out.csv")
    same_file("out.csv")
both(11, "verify", "nonsense.csv")
both(101, "verify", "v.csv")

# ---- papers
proof = ["--owner", USCC_A, "--amount", "1000.00"]
for p in (1, 11, 101, 102):
    both(p, "balance", K + D[0])
    both(p, "balance", K + D[0], *proof)
    both(p, "balance", K + D[19], *proof)
both(11, "balance", "nonsense")
both(1, "balance", K + D[10])

# ---- financings
doc = lambda i, *more: ["--doc", K + D[i], *more]
common = ["--enterprise", "101", "--product", "export_receivable", "--currency", "USD"]
both(11, "finance", "apply", "--id", 1, "--amount", "800.00", *common, *doc(0))
both(11, "finance", "apply", "--id", 1, "--amount", "800.00", *common, *doc(0), name="the same application again")
both(12, "finance", "apply", "--id", 1, "--amount", "300.00", *common, *doc(0))
both(12, "finance", "apply", "--id", 2, "--amount", "100.00", *common, "--doc", K + D[1] + "=60.00", "--doc", K + D[2] + "=40.00")
both(12, "finance", "apply", "--id", 3, "--amount", "2000.00", *common, *doc(3), *doc(0), "--allow-partial")
for big in (2**63 - 1, 2**63, 2**64 - 1):  # beyond what numbers of JSON can be
    both(12, "finance", "apply", "--id", big, "--amount", "1.00", *common, *doc(3))
    both(12, "finance", "withdraw", big)
    both(101, "grant", "add", "--id", big, "--bank", "12", "--scope", "credit", "--until", "2099-12-31")
    both(101, "grant", "revoke", big)
both(11, "finance", "apply", "--id", 4, "--amount", "x", *common, *doc(0))
both(11, "finance", "apply", "--id", 4, *common, *doc(0))
both(101, "finance", "apply", "--id", 4, "--amount", "1.00", *common, *doc(0))
write("requests.csv", "id,enterprise,product,amount,currency,kind,number,allocated\n" + "".join(
    f"{100 + i},101,export_receivable,20.00,USD,export_declaration,{D[4 + i // 4]},{'20.00' if i % 4 else ''}\n" for i in range(16))
    + f"200,101,export_receivable,x,USD,export_declaration,{D[4]},\n300,101,export_receivable,2.00,USD,export_declaration,{D[8]},1.00\n"
    + f"300,101,export_receivable,2.00,USD,export_declaration,{D[9]},1.00\n")
both(11, "finance", "apply", "--file", "requests.csv")
write("events.csv", "id,event,amount,source,reason,expect\n" + "".join(f"{100 + i},{e},,,{'other' if e == 'reject' else ''},{v}\n" for i in range(6) for v, e in (
    ((1, "accept"), (2, "approve"), (3, "disburse")) if i % 3 else ((1, "reject"),))) + "999,accept,,,,\nx,accept,,,,\n")
both(11, "finance", "events", "--file", "events.csv")
both(11, "finance", "accept", 1)
both(11, "finance", "approve", 1, "--expect", 2)
both(11, "finance", "approve", 1, "--expect", 2)
both(11, "finance", "disburse", 1, "--amount", "600.00", "--allot", K + D[0] + "=600.00")
both(11, "finance", "repay", 1, "--amount", "100.00", "--source", "collection")
both(11, "finance", "repay", 1, "--amount", "9999.00")
both(11, "finance", "reject", 300)
both(11, "finance", "reject", 300, "--reason", "other")
both(11, "finance", "accept", "x")
both(12, "finance", "accept", 1)
for p in (1, 11, 12):
    both(p, "finance", "show", 1)
    both(p, "finance", "show", "11:1")
    both(p, "finance", "list")
    both(p, "finance", "list", "--state", "DISBURSED")
both(11, "finance", "list", "--state", "NONSENSE")

# ---- an amendment, alerts, histories
both(201, "import", "amend.csv", "--source", "Customs")
for p in (1, 11, 12):
    both(p, "alerts")
    both(p, "history", K + D[0], *proof)
    both(p, "history", K + D[19], *proof)
both(1, "history", K + D[2])

# ---- grants, credit, the risk list
for party, more in ((101, ()), (102, ()), (1, ("--enterprise", "101"))):
    both(party, "grant", "add", "--id", 1, "--bank", 11, "--scope", "documents,credit", "--from", "2026-01-01", "--until", "2030-12-31", *more)
both(101, "grant", "add", "--id", 2, "--bank", 12, "--scope", "credit", "--until", "2030-12-31")
both(101, "grant", "add", "--id", 3, "--bank", 12, "--scope", "nonsense", "--until", "2030-12-31")
both(11, "credit", 101, "--grant", 1)
both(11, "credit", 101, "--grant", 1, "--scope", "documents")
both(11, "credit", 101, "--grant", 1, "--scope", "documents", "--limit", 2)
both(12, "credit", 101, "--grant", 1)
both(12, "credit", 101, "--grant", 2)
both(101, "credit", 101)
for p in (1, 11, 12, 101, 102):
    both(p, "grant", "list")
    both(p, "grant", "lookups")
both(101, "grant", "revoke", 2)
both(12, "credit", 101, "--grant", 2)
both(11, "risk", "add", "6222 0212-3456", "--category", "fraud")
both(11, "risk", "add", "6222 0212-3456", "--category", "nonsense")
both(11, "risk", "add")
both(12, "risk", "ask", "622202123456", USCC_A)
both(12, "risk", "ask")
both(12, "risk", "remove", "622202123456", "--category", "fraud")
both(11, "risk", "remove", "622202123456", "--category", "fraud")
for p in (1, 11, 12):
    both(p, "risk", "account")

# ---- who may do what
for words in (("party", "add", "--id", 300, "--role", "bank", "--name", "X"), ("rule", "set", "max_age.invoice", "90d"), ("import", "d.csv"), ("snapshot",), ("audit",)):
    rows, status = hub.rows(11, *words)
    tap.same((rows[:1], status), ([{"code": 70, "name": "NOT_AUTHORISED"}], 1), f"a bank may not: {' '.join(map(str, words))}")
rows, status = hub.rows(11, "alerts", "--as", 12)
tap.same((rows, status), ([{"code": 70, "name": "NOT_AUTHORISED"}], 1), "--as another party is refused")
tap.same([hub.raw(11, "alerts", "--as", name).returncode for name in ("Bank A", "11", "Bank B")], [0, 0, 1], "--as by name")
both(1, "party", "freeze", "Bank B")
both(12, "finance", "list")
rows, status = hub.rows(12, "finance", "apply", "--id", 9, "--amount", "1.00", *common, *doc(3))
tap.same((rows, status), ([{"code": 71, "name": "FROZEN"}], 1), "a frozen bank's application stops at the door")
both(12, "finance", "reject", 3, "--reason", "other")
both(1, "party", "unfreeze", 12)
both(12, "alerts")

# ---- the directory
digests = [done for done, _ in (here.rows("audit"), hub.rows(1, "audit"))]
tap.same(digests[0][0]["content_digest"], digests[1][0]["content_digest"], "the same content digest")
tap.ok(digests[1][0]["ok"] is True, "the hub's audit proves its log", digests)
tap.same(hub.raw(1, "snapshot").returncode, 0, "snapshot")
stats = [rows[0] for rows, _ in (here.rows("stats"), hub.rows(1, "stats"))]
tap.same(list(stats[0]), list(stats[1]), "stats: the same fields")
for words in (("party", "list"), ("balance", K + D[0]), ("verify", "nonsense.csv"), ("finance", "show", "12:3")):
    a, b = (re.sub(r"\d\d\d\d-\d\d-\d\dT\S+|\b\d\d\b", "V", done.stdout) for done in (here.raw(*words), hub.raw(1, *words)))
    tap.same(a, b, f"the same table: {' '.join(words)}")
done = hub.raw(1, "gen", "declarations", "--count", 3, "--seed", 1, cwd=hub.root)
tap.same((done.returncode, len(done.stdout) > 100), (0, True), "gen needs no hub")
done = hub.raw(1, "init", cwd=hub.root)
tap.same((done.returncode, os.path.exists(os.path.join(hub.root, "kanhe-data"))), (2, False), "init makes no directory here where a hub is named")

# ---- long files, through and through
many = 30000
text = HEADER + "".join(line(declaration(100 + i), USCC_A, "USD", f"{i}.00") + ("" if i % 5000 else line("123456789", USCC_A, "USD", "1.00")) for i in range(many))
write("long.csv", text)
for words in (("import", "long.csv"), ("verify", "long.csv", "-o", "out.csv")):
    both(1, *words, name=f"{words[0]}: a file of several pieces")
same_file("long.csv.refused.csv")
same_file("out.csv")
here.close()
hub.close()
tap.end()
