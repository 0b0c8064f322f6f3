"""Grants (授权查证), look-ups under them, and the risk list (风险名单), through the command; what each learns and what not."""
import datetime
from kanhe import *

tap = Tap()
d = Directory()
K = "export_declaration:"
TODAY = datetime.datetime.now(datetime.timezone.utc).date()


def day(n):
    return (TODAY + datetime.timedelta(days=n)).isoformat()


def grant(id_, bank=11, scope="credit", until=30, as_=101, more=()):
    who = ["--as", as_] if as_ is not None else []
    return d.row("grant", "add", *who, "--id", id_, "--bank", bank, "--scope", scope, "--until", day(until), *more)


def credit(bank, grant_, *more, enterprise=101):
    rows, status = d.rows("credit", enterprise, "--as", bank, "--grant", grant_, *more)
    return rows, status


lines = [f"export_declaration,{declaration(i)},{USCC_A},USD,1000.00,2026-11-01\n" for i in range(1, 8)]
lines.append(f"export_declaration,{declaration(50)},{USCC_B},USD,1000.00,2026-11-01\n")
d.rows("import", d.file("d.csv", HEADER + "".join(lines)))
d.apply(11, 1, "100.00", K + declaration(1))
d.apply(12, 31337, "731.37", K + declaration(2))
for step in ("accept", "approve", "disburse"):
    d.event(step, 12, 31337)
d.event("repay", 12, 31337, "--amount", "31.37")
d.apply(12, 2, "50.00", K + declaration(50), enterprise=102)

# ---- granting
row, status = grant(1)
tap.same((pick(row, "enterprise", "id", "bank", "scope", "from", "until", "state", "code", "name"), status),
         ({"enterprise": 101, "id": 1, "bank": 11, "scope": ["credit"], "from": None, "until": day(30), "state": "open", "code": 0, "name": "OK"}, 0), "grant add")
height = row["height"]
tap.same((grant(1)[0]["name"], grant(1)[1]), ("OK", 0), "the same grant again is harmless")
tap.same(grant(1, scope="documents")[0]["name"], "BAD_STATE", "other content under its number")
tap.same(grant(1, bank=12)[0]["name"], "BAD_STATE", "another bank under its number")
tap.same(grant(2, as_=None, more=("--enterprise", 101, "--from", day(5)))[0]["state"], "not_begun", "the operator, for the enterprise")
tap.same(grant(3, until=-1, more=("--from", day(-9)))[0]["state"], "expired", "a grant that is over")
tap.same(grant(4, scope="documents,credit", bank="Bank B")[0]["scope"], ["documents", "credit"], "both scopes, a bank by name")
row, status = grant(5, as_=102, more=("--enterprise", 101))
tap.same((row["name"], status), ("NOT_AUTHORISED", 1), "for another enterprise")
tap.same(grant(5, as_=11)[0]["name"], "NOT_AUTHORISED", "a bank grants nothing")
tap.same(grant(5, bank=201)[0]["name"], "NOT_FOUND", "a grant to no bank")
for words in (("--scope", "gold"), ("--until", "soon"), ("--bank", "nobody"), ("--id", "x")):
    options = {"--as": 101, "--id": 9, "--bank": 11, "--scope": "credit", "--until": day(3), words[0]: words[1]}
    tap.same(d.status("grant", "add", *[w for pair in options.items() for w in pair]), 2, "usage: " + " ".join(words))
tap.same(d.status("grant", "add", "--id", 9, "--bank", 11, "--scope", "credit", "--until", day(3)), 2, "usage: nobody's grant")

# ---- looking
rows, status = credit(11, 1)
tap.same((rows, status), ([{"enterprise": 101, "currency": "USD", "state": "APPLIED", "count": 1, "amount": "100.00", "repaid": "0.00"},
                           {"enterprise": 101, "currency": "USD", "state": "PART_REPAID", "count": 1, "amount": "731.37", "repaid": "31.37"}], 0), "the credit record, over all banks")
tap.same(credit(11, 1, enterprise=USCC_A)[0], rows, "an enterprise by its USCC")
for name, (answer, status), code in (("another bank", credit(12, 1), "NO_CONSENT"), ("another number", credit(11, 7), "NO_CONSENT"), ("another enterprise", credit(11, 1, enterprise=102), "NO_CONSENT"),
                                     ("an enterprise that there is not", credit(11, 1, enterprise=4711), "NO_CONSENT"), ("a scope not granted", credit(11, 1, "--scope", "documents"), "NO_CONSENT"),
                                     ("not begun", credit(11, 2), "CONSENT_EXPIRED"), ("expired", credit(11, 3), "CONSENT_EXPIRED")):
    tap.same((answer[0]["name"], len(answer), status), (code, 1, 1), name + ": " + code)
tap.same(d.raw("--json", "credit", 4711, "--as", 12, "--grant", 1).stdout, d.raw("--json", "credit", 102, "--as", 12, "--grant", 1).stdout, "no enterprise and no consent look the same")
rows, status = credit(12, 4, "--scope", "documents")
tap.same(([r["number"] for r in rows], status), ([declaration(i) for i in range(1, 8)], 0), "its documents, and nobody else's")
tap.same(pick(rows[0], "owner", "base", "held", "used", "free"), {"owner": USCC_A, "base": "1000.00", "held": "0.00", "used": "0.00", "free": "900.00"}, "another bank's part shows in free alone")
tap.same(pick(rows[1], "used", "consumed", "free"), {"used": "700.00", "consumed": "31.37", "free": "268.63"}, "its own part")
paged, after = [], ()
while True:
    rows, status = credit(12, 4, "--scope", "documents", "--limit", 3, *after)
    paged += [r["number"] for r in rows]
    if len(rows) < 3:
        break
    after = ("--after", K + rows[-1]["number"])
tap.same(paged, [declaration(i) for i in range(1, 8)], "in pages")
rows, status = credit(12, 4, "--scope", "documents,credit")
tap.same((len(rows), status), (9, 0), "both at once")
tap.same(d.rows("credit", 101, "--as", 101)[0], credit(11, 1)[0], "an enterprise sees its own record")
tap.same(d.row("credit", 102, "--as", 101)[0]["name"], "NO_CONSENT", "and no other's")
tap.same(d.row("credit", 101, "--as", 201)[0]["name"], "NOT_AUTHORISED", "a source asks nothing")
tap.same((d.rows("credit", 101)[0], d.status("credit", 4711)), (credit(11, 1)[0], 2), "the operator needs no grant")
before = len(d.rows("grant", "lookups")[0])
tap.same(len(d.rows("credit", 101, "--as", "Regulator")[0]), 2, "nor does the regulator")
lookups = os.path.join(d.data, "lookups", "log")
tap.ok("credit 101" in open(lookups).read(), "whose look-up is filed with the directory")
tap.same(len(d.rows("grant", "lookups")[0]), before, "and is no look-up under a grant")

# ---- nothing of bank B in what bank A reads
for words in (("credit", 101, "--as", 11, "--grant", 1), ("grant", "list", "--as", 11), ("alerts", "--as", 11), ("risk", "account", "--as", 11)):
    for json_ in ((), ("--json",)):
        done = d.raw(*json_, *words)
        tap.same([s for s in ("31337", "Bank B", '"bank":12') if s in done.stdout + done.stderr], [], "no leak: " + " ".join(map(str, words[:2])))

# ---- what the enterprise sees
rows, status = d.rows("grant", "lookups", "--as", 101)
tap.ok(status == 0 and {(r["bank"], r["grant"], tuple(r["scope"])) for r in rows} ==
       {(11, 1, ("credit",)), (12, 4, ("documents",)), (12, 4, ("documents", "credit"))}, "every look-up, by whom and of what", rows)
tap.ok(all(r["enterprise"] == 101 and r["height"] > height and r["time"].startswith("20") for r in rows), "and when", rows)
tap.same([r["height"] for r in rows], sorted(r["height"] for r in rows), "the oldest first")
tap.same(d.rows("grant", "lookups", "--as", 102)[0], [], "another enterprise sees none of it")
tap.same(d.row("grant", "lookups", "--as", 11)[0]["name"], "NOT_AUTHORISED", "nor does a bank")
tap.same(d.rows("grant", "lookups")[0], rows, "the operator sees all")
tap.same({(r["id"], r["state"]) for r in d.rows("grant", "list", "--as", 101)[0]}, {(1, "open"), (2, "not_begun"), (3, "expired"), (4, "open")}, "grant list")
tap.same(([r["id"] for r in d.rows("grant", "list", "--as", 12)[0]], d.rows("grant", "list", "--as", 102)[0]), ([4], []), "a bank sees those that it was given")
tap.same(d.row("grant", "list", "--as", 201)[0]["name"], "NOT_AUTHORISED", "a source sees none")

# ---- revoking
row, status = d.row("grant", "revoke", 1, "--as", 101)
tap.same((row["name"], row["state"], status), ("OK", "revoked", 0), "grant revoke")
tap.same(d.status("grant", "revoke", 1, "--as", 101), 0, "harmless twice")
tap.same((credit(11, 1)[0][0]["name"], grant(1)[0]["state"], credit(11, 1)[0][0]["name"]), ("NO_CONSENT", "revoked", "NO_CONSENT"), "a grant that comes again does not undo it")
tap.same(d.row("grant", "revoke", 99, "--as", 101)[0]["name"], "NOT_FOUND", "a grant that there is not")
tap.same(d.row("grant", "revoke", 4, "--as", 102)[0]["name"], "NOT_FOUND", "an enterprise means its own number")
tap.same(d.row("grant", "revoke", 4, "--as", 102, "--enterprise", 101)[0]["name"], "NOT_AUTHORISED", "and not another's")
d.status("party", "freeze", 101)
tap.same((credit(12, 4)[0][0]["name"], credit(11, 1)[0][0]["name"]), ("FROZEN", "NO_CONSENT"), "a frozen enterprise")
d.status("party", "unfreeze", 101)
d.status("party", "freeze", 12)
tap.same((credit(12, 4)[0][0]["name"], d.row("risk", "ask", "X", "--as", 12)[0]["name"]), ("FROZEN", "FROZEN"), "a frozen bank")
d.status("party", "unfreeze", 12)

# ---- the risk list
row, status = d.row("risk", "add", "6222 0212-3456", "--as", 11, "--category", "fraud")
tap.same((pick(row, "subject", "category", "name", "contributed", "asked", "allowed"), status),
         ({"subject": "622202123456", "category": "fraud", "name": "OK", "contributed": 1, "asked": 0, "allowed": 150}, 0), "risk add")
tap.same(d.row("risk", "add", "622202123456", "--as", 11, "--category", "欺诈")[0]["contributed"], 1, "the same again counts once")
d.row("risk", "add", "622202123456", "--as", 12, "--category", "fraud")
d.row("risk", "add", "622202123456", "--as", 12, "--category", "default")
rows, status = d.rows("risk", "ask", "6222 0212 3456", "622202123457", USCC_A, "--as", 12)
tap.same((rows, status), ([{"subject": "622202123456", "listed": True, "categories": ["fraud", "default"]}, {"subject": "622202123457", "listed": False, "categories": []},
                           {"subject": USCC_A, "listed": False, "categories": []}], 0), "risk ask: yes or no, and under what")
d.row("risk", "remove", "622202123456", "--as", 12, "--category", "fraud")
one = d.raw("--json", "risk", "ask", "622202123456", "--as", 12).stdout
d.row("risk", "add", "622202123456", "--as", 12, "--category", "fraud")
tap.same(d.raw("--json", "risk", "ask", "622202123456", "--as", 12).stdout, one, "one contributor or two: the same bytes")
tap.same(d.row("risk", "remove", "622202123456", "--as", 12, "--category", "default", "--of", 11)[0]["name"], "NOT_AUTHORISED", "another bank's contribution")
d.row("risk", "remove", "622202123456", "--as", 12, "--category", "default")
d.row("risk", "remove", "622202123456", "--as", 12, "--category", "fraud")
tap.same(d.row("risk", "ask", "622202123456", "--as", 12)[0]["categories"], ["fraud"], "it stays until the last has removed it")
tap.same(d.row("risk", "remove", "622202123456", "--category", "fraud")[0]["name"], "OK", "the operator removes everybody's")
tap.same(d.row("risk", "ask", "622202123456")[0]["listed"], False, "and it is gone")
for as_ in (101, 201):
    tap.same((d.row("risk", "ask", "X", "--as", as_)[0]["name"], d.row("risk", "add", "X", "--as", as_, "--category", "other")[0]["name"]), ("NOT_AUTHORISED",) * 2, f"not for party {as_}")
tap.same(d.row("risk", "add", "X", "--as", "Regulator", "--category", "other")[0]["name"], "NOT_AUTHORISED", "the regulator contributes nothing")
for words in (("risk", "ask"), ("risk", "ask", "某"), ("risk", "add", "X", "--as", 11), ("risk", "add", "X", "--as", 11, "--category", "gossip"), ("risk", "ask", *["X"] * 257)):
    tap.same(d.status(*words), 2, "usage: " + " ".join(map(str, words))[:40])

# ---- metering
d.status("rule", "set", "risk_free_queries", "10")
d.status("rule", "set", "risk_queries_per_entry", "4")
tap.same(d.row("risk", "account", "--as", 12)[0], {"bank": 12, "contributed": 0, "asked": 6, "allowed": 10}, "risk account")
row, status = d.row("risk", "ask", *[f"S{i}" for i in range(5)], "--as", 12)
tap.same((row, status), ({"code": 72, "name": "RATE_LIMITED", "contributed": 0, "asked": 6, "allowed": 10}, 1), "beyond: RATE_LIMITED, and nothing is answered")
tap.same(len(d.rows("risk", "ask", *[f"S{i}" for i in range(4)], "--as", 12)[0]), 4, "what is left can be asked")
d.row("risk", "add", "S9", "--as", 12, "--category", "other")
tap.same(len(d.rows("risk", "ask", "S9", "S8", "--as", 12)[0]), 2, "who contributes may ask more")
d.row("risk", "remove", "S9", "--as", 12, "--category", "other")
tap.same((d.row("risk", "ask", "S9", "--as", 12)[0]["name"], d.row("risk", "account", "--as", 12)[0]["asked"]), ("RATE_LIMITED", 12), "a removal gives nothing back")
tap.same([d.status("risk", "ask", *[f"S{i}" for i in range(256)]) for _ in range(3)], [0, 0, 0], "the regulator is not metered")
tap.same([r["bank"] for r in d.rows("risk", "account")[0]], [11, 12], "the operator sees every bank's account")
tap.ok(b"622202123456" not in b"".join(open(os.path.join(d.data, "log", f), "rb").read() for f in os.listdir(os.path.join(d.data, "log"))), "the log holds no subject that can be read")

# ---- all of it is in the log
d.row("risk", "add", "S7", "--as", 12, "--category", "other")
d.rows("snapshot")
audit, status = d.row("audit")
tap.same((audit.get("ok"), status), (True, 0), "audit")
for f in os.listdir(os.path.join(d.data, "image")):
    os.remove(os.path.join(d.data, "image", f))
again, status = d.row("audit")
tap.same((again.get("content_digest"), again.get("digest")), (audit["content_digest"], audit["digest"]), "and by replay alone")
tap.same((len(d.rows("grant", "list")[0]), d.row("risk", "ask", "S7")[0]["listed"], len(d.rows("grant", "lookups", "--as", 101)[0]) > 5), (4, True, True), "what was granted and listed is still there")
d.close()
tap.end()
