"""Every code that can occur here, produced through the command; time to live; kinds of status; links; red letters."""
import time
from kanhe import *

tap = Tap()
d = Directory()
K = "export_declaration:"
seen = {}


def note(row, name, code):
    seen[row.get("name")] = row.get("code")
    return tap.same(row.get("name"), code, name)


def put(lines, columns="kind,number,owner_id,currency,amount,date", *more):
    return d.rows("import", d.file("in.csv", columns + "\n" + "".join(line + "\n" for line in lines)), *more)


def ask(line, columns="kind,number,owner_id,currency,amount,date", as_=12):
    rows, _ = d.rows("verify", d.file("ask.csv", columns + "\n" + line + "\n"), "--as", as_)
    return rows[0]


def own(serial, amount="100.00", currency="USD", date="2026-11-01", owner=USCC_A):
    return f"export_declaration,{declaration(serial)},{owner},{currency},{amount},{date}"


C = "kind,number,owner_id,currency,amount,date,"
put([own(1), own(2), own(3), own(4), own(5), own(6), own(7)])
note(ask(own(1)), "OK", "OK")
note(ask(f"export_declaration,123456789,{USCC_A},USD,100.00,2026-11-01"), "a 9-digit legacy number", "FORMAT")
put([f"export_declaration,24GB0YVJ3EXXES8AA1,{USCC_A},USD,100.00,2026-11-01"])
good, odd = [ask(f"export_declaration,24GB0YVJ3EXXES8AA{i},{USCC_A},USD,100.00,2026-11-01") for i in (0, 1)]
note(odd if odd["name"] != "OK" else good, "an MRN with an odd check digit is a warning", "CHECK_DIGIT")
odd_uscc = own(98, owner="91350100M0001TGQXM")
rows, status = put([odd_uscc, own(97)])
tap.same((rows[-1]["stored"], rows[-1].get("warnings"), status), (2, 1, 0), "a USCC with an odd check digit is a warning")
tap.same(ask(odd_uscc)["name"], "OK", "whether it is stored decides")
rows, status = put([odd_uscc])
tap.same((rows[-1]["unchanged"], rows[-1].get("warnings"), status), (1, 1, 0), "the same again is unchanged, and warned of again")
rows, status = d.rows("show", d.file("odd.csv", "kind,number,owner_id,currency,amount,date\n" + odd_uscc + "\n" + own(97) + "\n"))
tap.same([r.get("warning") for r in rows], ["CHECK_DIGIT", None], "show says of which line")
rows, status = d.rows("party", "add", "--id", 190, "--role", "enterprise", "--name", "Odd Digits", "--uscc", "91350211M0000XUF46")
tap.same((rows[0]["name"], rows[0].get("warning"), status), ("OK", "CHECK_DIGIT", 0), "a party is added with a warning, too")
note(ask(own(99)), "not in the index", "NOT_FOUND")
note(ask(own(1, owner=USCC_B)), "another owner", "OWNER_MISMATCH")
note(ask(own(1) + ",I", C + "direction"), "the other direction", "DIRECTION")
note(ask(own(1, amount="100.01")), "another amount", "FIELD_MISMATCH")
rows, status = put([f"invoice,INV-1,DE123456789,EUR,10.00,2026-11-01", f"invoice,INV-1,DE123456789,EUR,10.01,2026-11-01"])
note(rows[0], "the same invoice with other content", "CONFLICT")

# ---- states
put([own(10) + ",lodged", own(11) + ",revoked"], C + "status")
note(ask(own(10)), "a lodged declaration", "NOT_READY")
rows, _ = put([own(12)]) and put([own(12) + ",revoked"], C + "status")
note(ask(own(12)), "a revoked declaration", "REVOKED")
put([own(13)])
put([own(13, amount="90.00")])
note(ask(own(13, amount="90.00") + ",1", C + "version"), "amended since the version that the bank saw", "AMENDED_SINCE")
tap.same(ask(own(13, amount="90.00") + ",2", C + "version")["name"], "OK", "not since the newest")
for status, code in (("void", "VOID"), ("red_full", "RED_FULL"), ("red_part", "RED_PART"), ("abnormal", "ABNORMAL"), ("lost_control", "LOST_CONTROL"), ("red_pending", "NOT_READY")):
    number = "2635200000000000" + f"{['void', 'red_full', 'red_part', 'abnormal', 'lost_control', 'red_pending'].index(status):04d}"
    line = f"invoice,{number},{USCC_A},CNY,50.00,2026-11-01"
    put([line])
    put([line + "," + status], C + "status")
    note(ask(line), f"an invoice that is {status}", code)

# ---- balance
d.apply(11, 1, "60.00", K + declaration(2))
row, _ = d.apply(12, 1, "50.00", K + declaration(2))
note(row, "too little is free", "INSUFFICIENT")
d.apply(11, 2, "40.00", K + declaration(2))
row, _ = d.apply(12, 2, "1.00", K + declaration(2))
note(row, "nothing is free: another holds it", "DUP_HELD_OTHER")
row, _ = d.apply(11, 3, "1.00", K + declaration(2))
note(row, "nothing is free: this bank itself", "DUP_OWN")
for step in ("accept", "approve", "disburse"):
    d.event(step, 11, 1)
row, _ = d.apply(12, 4, "1.00", K + declaration(2))
note(row, "nothing is free: another has used it", "DUP_FINANCED_OTHER")
d.apply(11, 5, "100.00", K + declaration(3))
for step in ("accept", "approve", "disburse"):
    d.event(step, 11, 5)
d.event("repay", 11, 5, "--source", "collection")
row, _ = d.apply(12, 5, "1.00", K + declaration(3))
note(row, "all was collected", "EXHAUSTED")
note(ask(own(1) + ",100.01", C + "want_amount"), "verify: more is wanted than is free", "INSUFFICIENT")

# ---- rules
d.status("rule", "set", "max_age.export_declaration", "90d")
put([own(20, date="2020-01-01")])
note(ask(own(20, date="2020-01-01")), "older than the rule allows", "TOO_OLD")
d.status("rule", "set", "max_age.export_declaration", "off")
d.status("rule", "set", "currencies", "EUR")
note(ask(own(1)), "a currency that the rule does not allow", "CURRENCY")
d.status("rule", "set", "currencies", "all")
row, _ = d.apply(11, 6, "10.00", K + declaration(1), currency="EUR")
note(row, "no rate", "NOT_CHECKED")
tap.same((row.get("reason"), row["documents"][0].get("reason"), "rate list" in d.stderr), ("rate", "rate", True), "and the reason, and where to look")
requests = "id,enterprise,product,amount,currency,kind,number,total\n" + f"6,101,export_receivable,1.00,USD,export_declaration,{declaration(1)},99.00\n"
row, _ = d.row("finance", "apply", "--as", 11, "--file", d.file("total.csv", requests))
tap.same((row["name"], row.get("mismatch")), ("FIELD_MISMATCH", ["total"]), "an application with another total says that this is it")
d.status("rule", "set", "ratio_bp.product.export_receivable", "5000")
row, _ = d.apply(11, 7, "60.00", K + declaration(4))
note(row, "a product's ratio: free, but not for this product", "INSUFFICIENT")
d.status("rule", "set", "ratio_bp.product.export_receivable", "10000")

# ---- similar: one contract number on two papers
put([own(30) + ",C-77", own(31) + ",C-77"], C + "contract_no")
d.apply(11, 30, "10.00", K + declaration(30))
note(ask(own(31)), "a shared contract number, and the other paper is held: a suspicion", "SIMILAR")
tap.same(d.apply(12, 31, "10.00", K + declaration(31))[0]["state"], "APPLIED", "a flag, no block")
tap.ok(any(r["alert"] == "SIMILAR" for r in d.rows("alerts")[0]), "the regulator is told")
tap.same(ask(own(31) + ",C-78", C + "contract_no")["mismatch"], ["contract_no"], "another contract number is a mismatch")

# ---- who and when
row, _ = d.apply(101, 8, "1.00", K + declaration(1))
note(row, "an enterprise may not apply", "NOT_AUTHORISED")
d.status("party", "freeze", 101)
row, _ = d.apply(11, 8, "1.00", K + declaration(1))
note(row, "a frozen enterprise", "FROZEN")
d.status("party", "unfreeze", 101)
row, _ = d.event("approve", 11, 2)
note(row, "approve before accept", "BAD_STATE")
d.status("rule", "set", "refusal_limit", "2/1")
names = [d.apply(12, 50 + i, "1.00", K + declaration(3))[0]["name"] for i in range(4)]
d.status("rule", "set", "refusal_limit", "off")
note({"name": "RATE_LIMITED", "code": 72} if "RATE_LIMITED" in names else {}, "too many refused applications", "RATE_LIMITED")
limit = Directory(init=False)
limit.status("init", "--rules", limit.file("rules", "capacity_documents 2\n"))
rows, _ = limit.rows("import", limit.file("in.csv", HEADER + own(1) + "\n" + own(2) + "\n" + own(3) + "\n"))
note(rows[0], "more documents than the stated capacity", "CAPACITY")
limit.close()

# ---- consent
note(d.row("credit", 101, "--as", 11, "--grant", 1)[0], "an enterprise that has not consented", "NO_CONSENT")
d.row("grant", "add", "--as", 101, "--id", 1, "--bank", 11, "--scope", "credit", "--until", "2026-01-01")
note(d.row("credit", 101, "--as", 11, "--grant", 1)[0], "a consent that is over", "CONSENT_EXPIRED")

# ---- time to live
d.status("rule", "set", "hold_ttl_applied", "1s")
row, _ = d.apply(11, 60, "10.00", K + declaration(5))
tap.same(row["state"], "APPLIED", "a hold of one second")
time.sleep(1.6)
row, _ = d.row("finance", "show", 60, "--as", 11)
tap.same((row["state"], row["version"]), ("LAPSED", 2), "a reading command finds it due and writes it down")
rows, _ = d.rows("alerts", "--as", 11)
tap.ok(any(r["alert"] == "LAPSED" and r["financing"] == 60 for r in rows), "and the bank is told", rows)
tap.same(d.row("balance", K + declaration(5))[0]["free"], "100.00", "the hold is gone")
d.status("rule", "set", "hold_ttl_applied", "3d")

# ---- a declaration, its invoice and one balance for both
line = f"invoice,INV-9,{USCC_A},USD,100.00,2026-11-01"
put([line + ","], C + "refers_to")
put([own(40) + f",invoice:INV-9@{USCC_A}"], C + "refers_to")
d.apply(11, 70, "70.00", K + declaration(40))
row, _ = d.row("balance", f"invoice:INV-9@{USCC_A}")
tap.same((row.get("free"), row.get("held")), ("30.00", "0.00"), "linked papers share one balance")
row, _ = d.apply(12, 70, "40.00", f"invoice:INV-9@{USCC_A}")
tap.same(row["name"], "INSUFFICIENT", "and cannot be financed twice through two papers")

# ---- a credit note lowers its invoice
put([f"credit_note,CN-1,{USCC_A},USD,30.00,2026-11-02,invoice:INV-10@{USCC_A}", f"invoice,INV-10,{USCC_A},USD,100.00,2026-11-01,"], C + "refers_to")
row, _ = d.row("balance", f"invoice:INV-10@{USCC_A}")
tap.same((row.get("base"), row.get("cap"), row.get("free")), ("100.00", "70.00", "70.00"), "a credit note that came first lowers the invoice when that arrives")

rows, _ = d.rows("import", d.file("cn.csv", HEADER.strip() + ",refers_to\n" + f"credit_note,CN-2,{USCC_A},USD,70.01,2026-11-02,invoice:INV-10@{USCC_A}\n"))
tap.ok(rows[0]["name"] == "CONFLICT" and "at most" in rows[0]["why"] and "invoice" in rows[0]["why"], "credit notes beyond their invoice: said so", rows)

wanted = {"OK": 0, "FORMAT": 10, "CHECK_DIGIT": 11, "NOT_FOUND": 20, "OWNER_MISMATCH": 21, "DIRECTION": 22, "FIELD_MISMATCH": 23, "CONFLICT": 24, "NOT_READY": 30, "REVOKED": 31,
          "AMENDED_SINCE": 32, "VOID": 33, "RED_FULL": 34, "RED_PART": 35, "ABNORMAL": 36, "LOST_CONTROL": 37, "INSUFFICIENT": 40, "EXHAUSTED": 41, "TOO_OLD": 42, "CURRENCY": 43,
          "DUP_OWN": 50, "DUP_HELD_OTHER": 51, "DUP_FINANCED_OTHER": 52, "SIMILAR": 53, "NO_CONSENT": 60, "CONSENT_EXPIRED": 61, "NOT_AUTHORISED": 70, "FROZEN": 71, "RATE_LIMITED": 72, "BAD_STATE": 73, "CAPACITY": 76, "NOT_CHECKED": 90}
tap.same({k: v for k, v in seen.items() if k in wanted}, wanted, "every code, with its number")
tap.same(d.row("audit")[0]["ok"], True, "audit")
d.close()
tap.end()
