"""The whole life of documents and financings, as a user sees it."""
from kanhe import *

tap = Tap()
d = Directory()
D1, D2, D3, D4 = (declaration(i) for i in (1, 2, 3, 4))
K = "export_declaration:"
csv = d.file("d.csv", HEADER + "".join(f"export_declaration,{n},{USCC_A},USD,{a},2026-11-01\n" for n, a in
                                       ((D1, "1000.00"), (D2, "500.00"), (D3, "200.00"), (D4, "300.00"))))

# ---- import
row, status = d.row("import", csv)
tap.same(row, {"file": csv, "format": "csv", "read": 4, "stored": 4, "unchanged": 0, "amended": 0, "revoked": 0, "refused": 0}, "import: counters")
tap.same(status, 0, "import: exit status")
row, status = d.row("import", csv)
tap.same((row["unchanged"], row["stored"], status), (4, 0, 0), "import again: unchanged")
bad = d.file("bad.csv", HEADER + f"export_declaration,123456789,{USCC_A},USD,10.00,2026-11-01\nexport_declaration,{declaration(9)},{USCC_A},USD,10.001,2026-11-01\n")
rows, status = d.rows("import", bad)
tap.same([pick(r, "line", "code", "name") for r in rows[:-1]],
         [{"line": 2, "code": 10, "name": "FORMAT"}, {"line": 3, "code": 10, "name": "FORMAT"}], "import: refused lines have their line and code")
tap.ok(all(r["why"] and r["file"] == bad for r in rows[:-1]), "import: refused lines say why", rows)
tap.same((rows[-1]["refused"], rows[-1]["stored"], status), (2, 0, 1), "import: nothing good does not exit 0")
tap.ok(len(open(bad + ".refused.csv").read().splitlines()) >= 2, "import: FILE.refused.csv")

# ---- balance
row, status = d.row("balance", K + D1)
tap.same({k: v for k, v in row.items()},
         {"kind": "export_declaration", "number": D1, "issuer": None, "owner": USCC_A, "status": "cleared", "date": "2026-11-01", "version": 1,
          "currency": "USD", "base": "1000.00", "cap": "1000.00", "held": "0.00", "used": "0.00", "consumed": "0.00", "free": "1000.00"}, "balance")
row, status = d.row("balance", K + declaration(77))
tap.same((row, status), ({"kind": "export_declaration", "number": declaration(77), "code": 20, "name": "NOT_FOUND"}, 1), "balance: not found")

# ---- verify
ask = d.file("v.csv", HEADER + "".join(
    f"export_declaration,{n},{o},{c},{a},{t}\n" for n, o, c, a, t in (
        (D1, USCC_A, "USD", "1000.00", "2026-11-01"), (D1, USCC_B, "USD", "1000.00", "2026-11-01"), (D1, USCC_A, "USD", "1000.01", "2026-11-02"),
        (declaration(77), USCC_A, "USD", "1.00", "2026-11-01"), (D2, USCC_A, "EUR", "500.00", "2026-11-01"), ("123456789", USCC_A, "USD", "1.00", "2026-11-01"))))
out = d.root + "/out.csv"
rows, status = d.rows("verify", ask, "--as", "Bank A", "-o", out)
tap.same([(r["line"], r["code"], r["name"], r["mismatch"]) for r in rows],
         [(2, 0, "OK", []), (3, 21, "OWNER_MISMATCH", []), (4, 23, "FIELD_MISMATCH", ["amount", "date"]), (5, 20, "NOT_FOUND", []),
          (6, 23, "FIELD_MISMATCH", ["currency"]), (7, 10, "FORMAT", [])], "verify: verdicts in the order of the lines")
tap.same(pick(rows[0], "kind", "number", "issuer", "status", "currency", "free", "version"),
         {"kind": "export_declaration", "number": D1, "issuer": None, "status": "cleared", "currency": "USD", "free": "1000.00", "version": 1}, "verify: a match in full")
tap.ok(rows[0]["as_of"] > 0 and rows[3].get("watermark"), "verify: as_of, and a watermark where not found", rows)
tap.ok(all(not rows[i].get("free") and not rows[i].get("status") and not rows[i].get("version") for i in (1, 2, 4)), "verify: a mismatch tells no status, version or free", rows)
tap.same(status, 1, "verify: exit 1 when a line was not OK")
tap.same(len(open(out).read().splitlines()), 7, "verify: -o writes a header and a line each")

# ---- apply, duplicates, excess, the rest
row, status = d.apply(11, 1, "800.00", K + D1)
tap.same((pick(row, "id", "bank", "code", "name", "state", "version", "currency", "amount"), status),
         ({"id": 1, "bank": 11, "code": 0, "name": "OK", "state": "APPLIED", "version": 1, "currency": "USD", "amount": "800.00"}, 0), "apply: granted")
tap.same(row["documents"], [{"kind": "export_declaration", "number": D1, "issuer": None, "currency": "USD", "amount": "800.00", "allocated": "800.00",
                             "code": 0, "name": "OK"}], "apply: its documents")
again, status = d.apply(11, 1, "800.00", K + D1)
tap.same((again, status), (row, 0), "apply: the same again answers the first outcome, height included")
row, status = d.apply(11, 1, "700.00", K + D1)
tap.same((row["code"], status), (73, 1), "apply: the same id with other content is BAD_STATE")
row, status = d.apply(12, 1, "300.00", K + D1)
tap.same((row["name"], row["state"], row["documents"][0]["name"], status), ("INSUFFICIENT", None, "INSUFFICIENT", 1), "apply: excess is refused")
row, status = d.apply(12, 1, "200.00", K + D1)
tap.same((row["code"], row["amount"]), (0, "200.00"), "apply: the rest of the balance is granted, under the id of the refused one")
row, status = d.apply(12, 2, "1.00", K + D1)
tap.same(row["name"], "DUP_HELD_OTHER", "apply: nothing is free because another bank holds it")
row, _ = d.row("balance", K + D1)
tap.same(pick(row, "held", "used", "free"), {"held": "1000.00", "used": "0.00", "free": "0.00"}, "balance: all held")
row, status = d.apply(11, 2, "600.00", K + D2 + "=500.00", K + D1 + "=100.00")
tap.same((row["name"], [x["name"] for x in row["documents"]][-1], d.row("balance", K + D2)[0]["free"]), (row["documents"][-1]["name"], row["name"], "500.00"),
         "apply: over several documents all or nothing")
row, status = d.apply(11, 2, "600.00", K + D2 + "=500.00", K + D1 + "=100.00", more=["--allow-partial"])
tap.same((row["code"], row["amount"], row["documents"][0]["code"]), (0, "500.00", 0), "apply: --allow-partial takes what passes")
row, _ = d.apply(11, 3, "10.00", K + D3, enterprise=102)
tap.same(row["name"], "OWNER_MISMATCH", "apply: the document of another enterprise")

# ---- life
row, status = d.event("accept", 11, 1)
tap.same((row["state"], row["version"], status), ("ACCEPTED", 2, 0), "accept")
row, _ = d.event("approve", 11, 1, "--expect", 2)
tap.same((row["state"], row["version"]), ("APPROVED", 3), "approve, with the version it expects")
again, status = d.event("approve", 11, 1, "--expect", 2)
tap.same((again, status), (row, 0), "approve again with the same --expect is harmless")
row, status = d.event("approve", 11, 1)
tap.same((row["name"], status), ("BAD_STATE", 1), "approve without --expect meets a financing that is approved")
row, _ = d.event("disburse", 11, 1, "--amount", "600.00")
tap.same((row["state"], row["amount"], row["documents"][0]["amount"]), ("DISBURSED", "600.00", "600.00"), "disburse less than approved")
row, _ = d.row("balance", K + D1)
tap.same(pick(row, "held", "used", "consumed", "free"), {"held": "200.00", "used": "600.00", "consumed": "0.00", "free": "200.00"}, "what is not used is free again")
row, _ = d.event("repay", 11, 1, "--amount", "100.00", "--source", "collection")
tap.same(row["state"], "PART_REPAID", "repay a part by collection")
row, _ = d.row("balance", K + D1)
tap.same(pick(row, "used", "consumed", "free"), {"used": "500.00", "consumed": "100.00", "free": "200.00"}, "collection does not give the balance back")
row, _ = d.event("repay", 11, 1, "--amount", "500.00", "--source", "own-funds")
tap.same(row["state"], "SETTLED", "repay the rest from own funds")
row, _ = d.row("balance", K + D1)
tap.same(pick(row, "used", "consumed", "free"), {"used": "0.00", "consumed": "100.00", "free": "700.00"}, "own funds give it back")
row, status = d.event("reject", 12, 1, "--reason", "duplicate")
tap.same((row["state"], status), ("REJECTED", 0), "reject")
tap.same(d.status("finance", "reject", 2, "--as", 11), 2, "reject without a reason is a usage error")
row, _ = d.event("withdraw", 11, 2, "--reason", "customer_request")
tap.same(row["state"], "WITHDRAWN", "withdraw")

# ---- amendment, over limit, alerts
d.apply(11, 5, "150.00", K + D3)
for step in ("accept", "approve", "disburse"):
    d.event(step, 11, 5)
d.apply(12, 5, "50.00", K + D3)
am = d.file("am.csv", HEADER + f"export_declaration,{D3},{USCC_A},USD,120.00,2026-11-01\n")
row, status = d.row("import", am)
tap.same((row["amended"], status), (1, 0), "a customs amendment")
row, _ = d.row("balance", K + D3)
tap.same(pick(row, "version", "base", "cap", "held", "used", "free", "over_limit"),
         {"version": 2, "base": "120.00", "cap": "120.00", "held": "0.00", "used": "150.00", "free": "0.00", "over_limit": True}, "it pushes the document over its limit")
rows, _ = d.rows("alerts", "--as", 11)
tap.same([pick(r, "alert", "bank", "kind", "number") for r in rows], [{"alert": "OVER_LIMIT", "bank": 11, "kind": "export_declaration", "number": D3}], "bank A's alert")
rows, _ = d.rows("alerts", "--as", 12)
tap.ok([r["alert"] for r in rows] == ["LINE_CANCELLED"] and rows[0]["financing"] == 5 and rows[0]["bank"] == 12, "bank B's alert is its own", rows)
rows, _ = d.rows("alerts")
tap.ok({11, 12} <= {r["bank"] for r in rows}, "the operator sees both", rows)
row, _ = d.row("finance", "show", 5, "--as", 12)
tap.same((row["state"], row["amount"]), ("LAPSED", "0.00"), "a financing whose only line was cancelled is LAPSED")
row, _ = d.event("reverse", 11, 5)
tap.same(row["state"], "REVERSED", "reverse")
row, _ = d.row("balance", K + D3)
tap.same((row["free"], "over_limit" in row), ("120.00", False), "the flag falls by itself")

# ---- revoked
d.apply(12, 6, "100.00", K + D4)
rv = d.file("rv.csv", HEADER.replace("date", "date,status") + f"export_declaration,{D4},{USCC_A},USD,300.00,2026-11-01,revoked\n")
row, status = d.row("import", rv)
tap.same((row["revoked"], status), (1, 0), "a deleted declaration counts as revoked")
row, _ = d.apply(12, 7, "1.00", K + D4)
tap.same(row["name"], "REVOKED", "nothing more is granted on it")
rows, _ = d.rows("alerts", "--as", 12)
tap.ok("LINE_CANCELLED" in [r["alert"] for r in rows if r["number"] == D4] or "REVOKED" in [r["alert"] for r in rows if r["number"] == D4], "the bank is told", rows)

# ---- lists, history
rows, _ = d.rows("finance", "list", "--as", 11)
tap.same(sorted(r["id"] for r in rows), [1, 2, 5], "finance list: own ones")
rows, _ = d.rows("finance", "list", "--state", "SETTLED")
tap.same([(r["bank"], r["id"]) for r in rows], [(11, 1)], "finance list --state")
rows, _ = d.rows("history", K + D3)
tap.ok([r["operation"] for r in rows][0] in ("document", "stored") and all({"height", "time", "operation", "party", "code", "name"} <= set(r) for r in rows), "history", rows)
tap.ok([r["height"] for r in rows] == sorted(r["height"] for r in rows), "history is told from the beginning")

# ---- frozen
d.status("party", "freeze", 11)
row, status = d.apply(11, 9, "1.00", K + D2)
tap.same((row["name"], status), ("FROZEN", 1), "a frozen bank is not served")
row, status = d.row("balance", K + D2, "--as", 11, "--owner", USCC_A, "--amount", "500.00")
tap.same((row["name"], status), ("FROZEN", 1), "nor answered")
rows, status = d.rows("verify", ask, "--as", 11)
tap.same(([(r["line"], r["name"], r["status"], r["free"]) for r in rows], status), ([(i, "FROZEN", None, None) for i in range(2, 8)], 1), "nor is any line of a file")
d.status("party", "unfreeze", 11)
row, _ = d.row("balance", K + D2, "--as", 11, "--owner", USCC_A, "--amount", "500.00")
tap.same(row["free"], "500.00", "until it is unfrozen")

# ---- audit
row, status = d.row("audit")
tap.same((row["ok"], status), (True, 0), "audit")
tap.ok(len(row["digest"]) == 64 and len(row["content_digest"]) == 64 and row["entries"] == row["height"], "audit: digests", row)
d.close()
tap.end()
