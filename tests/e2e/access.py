"""What a bank learns (DOMAIN, section 7): its own business, and nothing of another's."""
from kanhe import *

tap = Tap()
d = Directory()
K = "export_declaration:"
D1, D2 = declaration(1), declaration(2)
SECRET_ID, SECRET_AMOUNT = 987654321, "731.37"
d.rows("import", d.file("d.csv", HEADER + f"export_declaration,{D1},{USCC_A},USD,1000.00,2026-11-01\nexport_declaration,{D2},{USCC_A},USD,500.00,2026-11-01\n"))
d.apply(11, SECRET_ID, SECRET_AMOUNT, K + D1)
for step in ("accept", "approve", "disburse"):
    row, _ = d.event(step, 11, SECRET_ID)
assert row["state"] == "DISBURSED"
PROOF = ["--owner", USCC_A, "--amount", "1000.00"]

# ---- bank B asks everything that it can; nothing of bank A may be in any byte
v = d.file("v.csv", HEADER.replace("date", "date,want_amount") + f"export_declaration,{D1},{USCC_A},USD,1000.00,2026-11-01,900.00\n")
asked = [
    ("balance", K + D1, "--as", 12, *PROOF), ("balance", K + D1, "--as", 12), ("balance", K + D1, "--as", 12, "--owner", USCC_A, "--amount", "1000.01"),
    ("balance", K + D1, "--as", 12, "--owner", USCC_B, "--amount", "1000.00"), ("history", K + D1, "--as", 12, *PROOF), ("history", K + D1, "--as", 12),
    ("verify", v, "--as", 12), ("alerts", "--as", 12), ("finance", "list", "--as", 12), ("finance", "show", SECRET_ID, "--as", 12),
    ("finance", "show", f"11:{SECRET_ID}", "--as", 12), ("stats", "--as", 12),
]
for words in asked:
    for json_ in ((), ("--json",)):
        done = d.raw(*json_, *words)
        seen = (done.stdout + done.stderr).replace(str(v), "").replace(f"show {SECRET_ID}", "")
        own = [w for w in map(str, words)]
        leaks = [s for s in (SECRET_AMOUNT, "Bank A", '"bank":11', str(SECRET_ID)) if s in seen and not any(s in w for w in own)]
        tap.same(leaks, [], "no leak: " + " ".join(own[:2]) + (" --json" if json_ else ""))

row, status = d.row("balance", K + D1, "--as", 12, *PROOF)
tap.same((pick(row, "base", "cap", "held", "used", "consumed", "free"), status),
         ({"base": "1000.00", "cap": "1000.00", "held": "0.00", "used": "0.00", "consumed": "0.00", "free": "268.63"}, 0), "with the proof: free, and its own parts only")
row, _ = d.row("balance", K + D1, "--as", 11, *PROOF)
tap.same(pick(row, "used", "free"), {"used": SECRET_AMOUNT, "free": "268.63"}, "bank A sees its own part")
nothing = d.raw("--json", "balance", K + declaration(99), "--as", 12)
for name, words in (("no proof", []), ("owner only", ["--owner", USCC_A]), ("amount only", ["--amount", "1000.00"]), ("a wrong owner", ["--owner", USCC_B, "--amount", "1000.00"]),
                    ("a wrong amount", ["--owner", USCC_A, "--amount", "999.99"])):
    done = d.raw("--json", "balance", K + D1, "--as", 12, *words)
    tap.same((done.stdout.replace(D1, declaration(99)), done.stderr, done.returncode), (nothing.stdout, nothing.stderr, nothing.returncode), f"{name}: as if it were not there")
    done = d.raw("--json", "history", K + D1, "--as", 12, *words)
    tap.same(json.loads(done.stdout)["name"], "NOT_FOUND", f"{name}: no history either")
a, b = d.rows("finance", "show", SECRET_ID, "--as", 12), d.rows("finance", "show", 5, "--as", 12)
tap.same((a[0][0]["name"], a[1]), (b[0][0]["name"], b[1]), "another bank's financing is as one that does not exist")
tap.same(d.rows("finance", "list", "--as", 12)[0], [], "another bank's financings are not in the list")
rows, _ = d.rows("history", K + D1, "--as", 12, *PROOF)
tap.ok(len(rows) == 1, "history: the document's versions alone", rows)
rows, _ = d.rows("history", K + D1, "--as", 11, *PROOF)
tap.ok(len(rows) == 5, "history: bank A sees its own operations too", rows)

# ---- shortages name no one
row, _ = d.apply(12, 1, "900.00", K + D1)
tap.same(row["name"], "INSUFFICIENT", "a shortage")
d.apply(12, 2, "268.63", K + D1)
row, _ = d.apply(12, 3, "1.00", K + D1)
tap.same(row["name"], "DUP_FINANCED_OTHER", "another bank has used it: said, not who")
row, _ = d.row("verify", v, "--as", 12)
tap.same((row["name"], row["free"]), ("DUP_FINANCED_OTHER", "0.00"), "verify says the same")

# ---- a description without an amount proves nothing
for as_, wanted in ((12, ("FIELD_MISMATCH", ["amount"], None, None)), (1, ("OK", [], "500.00", "cleared"))):
    row, _ = d.row("verify", d.file("n.csv", HEADER + f"export_declaration,{D2},{USCC_A},USD,,2026-11-01\n"), "--as", as_)
    tap.same((row["name"], row["mismatch"], row["free"], row["status"]), wanted, f"verify without an amount, as {as_}")
row, _ = d.row("verify", d.file("n.csv", HEADER + f"export_declaration,{D2},,USD,500.00,2026-11-01\n"), "--as", 12)
tap.same((row["name"], row["free"], row["status"]), ("FORMAT", None, None), "verify without an owner")

# ---- roles
for words, name in ((("party", "add", "--id", 5, "--role", "bank", "--name", "x", "--as", 12), "party add takes no --as"),):
    tap.same(d.status(*words), 2, name)
tap.same(d.apply(101, 1, "1.00", K + D2)[0].get("name"), "NOT_AUTHORISED", "an enterprise may not apply")
row, status = d.row("balance", K + D2, "--as", 101)
tap.same((row.get("free"), status), ("500.00", 0), "an enterprise sees its own document")
row, status = d.row("balance", K + D2, "--as", 102)
tap.same((row.get("name"), status), ("NOT_FOUND", 1), "and no other's")
row, status = d.row("balance", K + D2, "--as", 201)
tap.same((row.get("name"), status), ("NOT_AUTHORISED", 1), "a source may not ask")
tap.same(d.status("balance", K + D2, "--as", 4711), 2, "a party that there is not: usage")

# ---- the regulator sees all, and its look-ups are filed
row, status = d.row("balance", K + D1, "--as", "Regulator")
tap.same((row["held"], row["used"], status), ("268.63", SECRET_AMOUNT, 0), "the regulator sees all")
d.rows("finance", "show", f"11:{SECRET_ID}", "--as", 1)
lookups = os.path.join(d.data, "lookups")
filed = "".join(open(os.path.join(lookups, f)).read() for f in os.listdir(lookups))
tap.ok(D1 in filed and str(SECRET_ID) in filed, "the regulator's look-ups are filed", filed)
before = filed.count("\n")
d.rows("balance", K + D1)
d.rows("balance", K + D1, "--as", 11, *PROOF)
filed = "".join(open(os.path.join(lookups, f)).read() for f in os.listdir(lookups))
tap.same(filed.count("\n"), before, "the operator's and the banks' are not")
d.close()
tap.end()
