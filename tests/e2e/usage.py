"""Words, options and exit statuses; files of several kinds; show, rules, rates."""
import csv
from kanhe import *

tap = Tap()
d = Directory(init=False)
tap.same(d.status("balance", "invoice:1"), 3, "no data directory: 3")
tap.ok("init" in d.raw("balance", "invoice:1").stderr, "and it says what to do")
tap.ok("finance what? apply, accept" in d.raw("finance").stderr and "repay" in d.raw("finance").stderr, "a word that only begins commands: what may follow")
d = Directory()
tap.same(d.status("init"), 3, "init refuses a directory that is not empty")
for words in ((), ("frobnicate",), ("balance",), ("balance", "nonsense"), ("balance", "invoice:1", "--nonsense"), ("import",), ("finance", "apply"), ("--wait", "x", "stats"),
              ("party", "add", "--id", "0", "--role", "bank", "--name", "x"), ("party", "add", "--id", "7", "--role", "king", "--name", "x"), ("gen", "gold", "--count", 1, "--seed", 1),
              ("balance", "invoice:1", "--as"), ("finance", "accept", "x", "--as", 11), ("import", "/nonexistent/file.csv"), ("import", "/"), ("show", "/")):
    done = d.raw(*words)
    tap.ok(done.returncode == 2 and done.stdout == "" and done.stderr != "", "usage: " + " ".join(map(str, words)), (done.returncode, done.stdout, done.stderr))
for words, why in ((("import", "/nonexistent/file.csv"), "No such file or directory"), (("verify", "/", "--as", 11), "Is a directory"), (("show", "/nonexistent"), "No such file"),
                   (("finance", "events", "--as", 11, "--file", "/"), "Is a directory"), (("check", "/nonexistent", "--genesis", "/nonexistent"), "No such file")):
    done = d.raw(*words)
    tap.ok(done.returncode == 2 and f"cannot be read: {why}" in done.stderr, f"why a file cannot be read: {words[0]}", done.stderr)
for words in (("--as", 11, "alerts"), ("--as=11", "finance", "list"), ("--id", 9, "--role", "source", "party", "add", "--name", "early")):
    tap.same(d.status(*words), 0, f"options before the command: {words[0]}")
lost = os.path.join(d.root, "no", "such")
done = d.raw("init", data=lost)
tap.ok(done.returncode == 3 and "init` makes one" not in done.stderr and "make that folder first" in done.stderr, "init where the folder above is missing says so", done.stderr)
done = d.raw("--connect", "https://127.0.0.1:1", "--cert", "x", "--key", "x", "init", data=lost)
tap.same((done.returncode, os.path.exists(lost)), (2, False), "--data and --connect exclude each other, for init too")
for words, env in ((("--connect", "https://127.0.0.1:1", "--cert", "x", "--key", "x"), {}), ((), {"KANHE_CONNECT": "https://127.0.0.1:1", "KANHE_CERT": "x"})):
    empty = tempfile.mkdtemp(dir=d.root)
    done = subprocess.run([COMMAND, *words, "init"], capture_output=True, text=True, cwd=empty, env={**os.environ, **env})
    tap.ok((done.returncode, os.listdir(empty)) == (2, []) and "leave --connect" in done.stderr, f"init makes no directory where a hub is asked {'by the environment' if env else ''}", done.stderr)
for words in (("--help",), ("import", "--help"), ("help", "finance", "apply"), ("--version",), ("finance", "repay", "--help"), ("finance", "--help"), ("help", "risk")):
    done = d.raw(*words)
    tap.ok(done.returncode == 0 and done.stdout and not done.stderr, "help: " + " ".join(words), done.stderr)
shown = d.raw("grant", "--help").stdout
tap.same([line.split()[1] for line in shown.splitlines() if line.startswith("  grant ")], ["add", "revoke", "list", "lookups"], "a group's help has its commands")
tap.ok("finance" not in shown, "and no others", shown)
for tool in ("bench", "chaos", "check_format", "cluster", "hub", "install", "quickstart", "test"):
    for word, wanted in (("--help", 0), ("--frobnicate", 2)):
        done = subprocess.run([os.path.join(os.environ["KH_SOURCE_ROOT"], "tools", tool), word], capture_output=True, text=True, timeout=20)
        tap.ok(done.returncode == wanted and (word != "--help" or f"tools/{tool}" in done.stdout), f"tools/{tool} {word} does nothing else", (done.returncode, done.stdout[:300], done.stderr[:300]))

# ---- parties
row, status = d.row("party", "add", "--id", 11, "--role", "bank", "--name", "Other")
tap.same((row["name"], status), ("CONFLICT", 1), "a party's id is taken")
tap.same(d.status("party", "add", "--id", 11, "--role", "bank", "--name", "Bank A"), 0, "the same again is harmless")
rows, _ = d.rows("party", "list")
tap.same([(r["id"], r["role"]) for r in rows if r["id"] != 9], [(1, "regulator"), (11, "bank"), (12, "bank"), (101, "enterprise"), (102, "enterprise"), (201, "source")], "party list")

for id_ in (21, 22):
    tap.same(d.status("party", "add", "--id", id_, "--role", "bank", "--name", "Twin Bank"), 0, "two parties may bear one name")
    tap.same(d.status("finance", "list", "--as", id_), 0, "and are told apart by their ids")
done = d.raw("finance", "list", "--as", "Twin Bank")
tap.ok(done.returncode == 2 and "several" in done.stderr, "the name alone says neither", done.stderr)

# ---- rules and rates
tap.same(d.status("rule", "set", "ratio_bp.kind.invoice", "8000"), 0, "rule set")
tap.same(d.status("rule", "set", "nonsense", "1") in (1, 2), True, "a rule that there is not")
rows, _ = d.rows("rule", "list")
tap.ok(any(r["rule"] == "ratio_bp.kind.invoice" and r["value"] == "8000" and not r["default"] for r in rows), "rule list")
tap.same(d.status("rate", "set", "EUR", "USD", "1.10", "--date", "2026-01-01", "--source", "ECB"), 0, "rate set")
row, _ = d.row("rate", "list")
tap.same((row["from"], row["to"], row["rate"]), ("EUR", "USD", "1.1"), "rate list")
rules = d.file("rules.txt", "hold_ttl_applied 1d\nclock_step 90d\n")
e = Directory(init=False)
wrong = e.file("wrong.txt", "hold_ttl_applied 1d\nnonsense 1\n")
tap.same((e.status("init", "--rules", wrong), os.path.exists(e.data)), (2, False), "a rule that there is not: nothing is made, not with the rules before it either")
tap.same(e.status("init", "--rules", rules, "--secret", e.file("s", b"0123456789abcdef")), 0, "init --rules --secret")
tap.ok(any(r["rule"] == "hold_ttl_applied" and r["value"] == "1d" for r in e.rows("rule", "list")[0]), "its rules are set")
tap.same(os.stat(e.data + "/secret").st_mode & 0o077, 0, "the secret is the owner's alone")
e.close()

# ---- a file in Chinese, as Excel writes it
text = f"报关单号,统一社会信用代码,币制,金额,申报日期,进出口标志\n{declaration(31)},{USCC_A},USD,88.00,2026-11-02,E\n"
for name, data in (("utf8.csv", text.encode()), ("bom.csv", b"\xef\xbb\xbf" + text.encode()), ("gb.csv", text.encode("gb18030"))):
    row, status = d.row("import", d.file(name, data), "--kind", "export_declaration")
    tap.same((row["read"], row["stored"] + row["unchanged"], status), (1, 1, 0), f"Chinese headers: {name}")
row, status = d.row("show", d.root + "/utf8.csv", "--kind", "export_declaration")
tap.same((pick(row, "kind", "number", "owner", "currency", "base", "date"), status),
         ({"kind": "export_declaration", "number": declaration(31), "owner": USCC_A, "currency": "USD", "base": "88.00", "date": "2026-11-02"}, 0), "show")

# ---- several currencies, a foreign invoice with an odd number
lines = HEADER.replace("date", "date,issuer_id") + (f"export_declaration,{declaration(32)},{USCC_A},USD,10.00,2026-11-02,\nexport_declaration,{declaration(32)},{USCC_A},EUR,20.00,2026-11-02,\n"
                                                    f"invoice,A/1 b=2,NO123456789MVA,JPY,1000,2026-11-02,NO 123 456 789 MVA\n")
row, status = d.row("import", d.file("m.csv", lines))
tap.same((row["read"], row["stored"], status), (3, 2, 0) if row["read"] == 3 else (2, 2, 0), "two currencies are one document")
rows, _ = d.rows("balance", "export_declaration:" + declaration(32))
tap.same([(r["currency"], r["base"]) for r in rows], [("USD", "10.00"), ("EUR", "20.00")] if rows[0]["currency"] == "USD" else [("EUR", "20.00"), ("USD", "10.00")], "balance: one object a currency")
for words in (("invoice:A%2F1b%3D2@NO123456789MVA",), ("invoice:A%2F1 b%3D2", "--issuer", "no 123456789 mva")):
    row, status = d.row("balance", *words)
    tap.same((row.get("base"), row.get("cap"), row.get("issuer"), status), ("1000", "800", "NO123456789MVA", 0), "balance " + words[0])
tap.ok(d.raw("balance", "export_declaration:" + declaration(32)).stdout.count("\n") == 3, "a table: a heading and a line each")

# ---- a rate converts up
d.rows("import", d.file("u.csv", HEADER + f"export_declaration,{declaration(33)},{USCC_A},USD,100.00,2026-11-02\n"))
row, _ = d.apply(11, 1, "50.01", f"export_declaration:{declaration(33)}", currency="EUR")
tap.same((row["name"], row["documents"][0]["amount"], row["documents"][0]["currency"], row["documents"][0]["allocated"]), ("OK", "55.02", "USD", "50.01"), "a hold in another currency is rounded up")
row, _ = d.apply(11, 2, "1.00", f"export_declaration:{declaration(33)}", currency="CNY")
tap.same(row["name"], "NOT_CHECKED", "no rate: not checked")

# ---- an invoice that names no issuer has its owner as issuer, however the enterprise is named
d.rows("import", d.file("i.csv", HEADER + f'invoice,"A,""7",{USCC_A},USD,70.00,2026-11-02\ninvoice,B8,{USCC_A},USD,80.00,2026-11-02\n'))
for id_, enterprise in ((20, 101), (21, USCC_A), (22, "Exporter")):
    tap.same(d.apply(11, id_, "1.00", "invoice:B8", enterprise=enterprise)[0]["name"], "OK", f"apply on an invoice without issuer, enterprise {enterprise}")
requests = "id,enterprise,product,amount,currency,kind,number,issuer,allocated\n"
rows, status = d.rows("finance", "apply", "--as", 11, "--file", d.file("q.csv", requests + "30,101,p,2.00,USD,invoice,B8,,2.00\n"
                      f"31,101,p,3.00,USD,invoice,B8,,2.00\n31,101,p,3.00,USD,export_declaration,123456789,,1.00\n32,Nobody At All,p,2.00,USD,invoice,B8,{USCC_A},2.00\nx,101,p,2.00,USD,invoice,B8,,2.00\n"))
tap.same(([(r["id"], r["name"]) for r in rows], status), ([(30, "OK"), (31, "FORMAT"), (32, "OWNER_MISMATCH"), (0, "FORMAT")], 1), "a request file with lines of every fate")
rows, _ = d.rows("finance", "apply", "--as", 11, "--allow-partial", "--file", d.root + "/q.csv")
tap.same((rows[1]["name"], rows[1]["amount"], [x["name"] for x in rows[1]["documents"]]), ("OK", "2.00", ["OK", "FORMAT"]), "--allow-partial leaves out the line whose number is malformed")
tap.same(len(d.rows("party", "list")[0]), 9, "and no one was registered on the way")
d.raw("verify", d.file("w.csv", HEADER + f'invoice,"A,""7",{USCC_A},USD,70.00,2026-11-02\n'), "-o", d.root + "/w.out")
tap.ok('"A,""7"' in open(d.root + "/w.out").read(), "verify -o quotes what needs it", open(d.root + "/w.out").read())
shown, _ = d.rows("verify", d.file("w.csv", HEADER + f"export_declaration,{declaration(999)},{USCC_A},USD,70.00,2026-11-02\n"), "-o", d.root + "/w.out")
with open(d.root + "/w.out", encoding="utf-8", newline="") as f:
    written = next(csv.DictReader(f))
tap.same((written["code"], written["version"], written["status"], written["as_of"], written["watermark"]), ("20", "", "", str(shown[0]["as_of"]), shown[0]["watermark"]), "verify -o: what is not found has a watermark and no version")

# ---- sources, and --force
first, second = (d.file(n, HEADER + f"export_declaration,{declaration(50)},{USCC_A},USD,{a},2026-11-02\n") for n, a in (("f1.csv", "10.00"), ("f2.csv", "9.00")))
tap.same(d.row("import", first, "--source", "customs")[0]["stored"], 1, "import --source")
tap.same(d.rows("history", "export_declaration:" + declaration(50))[0][0]["party"], 201, "the source is the one who spoke")
tap.same(d.status("import", first, "--source", "nobody"), 2, "a source that there is not")
d.status("party", "freeze", "customs")
tap.same(d.row("import", first, "--source", 201)[0]["name"], "FROZEN", "a frozen source")
d.status("party", "unfreeze", "customs")
open(d.data + "/sources.conf", "w").write("sources = {{{")
tap.same(d.status("import", first, "--source", "customs"), 3, "a sources.conf that is none")
shutil.copy(os.path.join(os.environ.get("KH_SOURCE_ROOT", "."), "conf", "sources.conf"), d.data + "/sources.conf")
tap.same(d.status("import", first, "--source", "single-window"), 0, "a source of sources.conf")
d.rows("import", second)
tap.same((d.row("import", first)[0]["unchanged"], d.row("balance", "export_declaration:" + declaration(50))[0]["base"]), (1, "9.00"), "an earlier version coming again undoes nothing")
tap.same((d.row("import", first, "--force")[0]["amended"], d.row("balance", "export_declaration:" + declaration(50))[0]["base"]), (1, "10.00"), "unless --force")

# ---- a code that alone does not say why
d.status("import", d.file("parts.csv", HEADER + "".join(f"export_declaration,{declaration(7100 + i)},{USCC_A},USD,100.00,2026-11-01\n" for i in range(2))))
parts = [f"export_declaration:{declaration(7100 + i)}" for i in range(2)]
for documents, id_, wanted in (((parts[0] + "=10", parts[1] + "=20"), 7001, "add up"), ((parts[0],), 7000, "another financing")):
    d.apply(11, 7000, "30.00", parts[0] + "=10", parts[1] + "=20")
    d.apply(11, id_, "40.00", *documents)
    tap.ok(wanted in d.stderr, f"an application that is refused says what is wrong: {wanted}", d.stderr)
for event in ("accept", "approve"):
    d.event(event, 11, 7000)
for words, wanted in (((parts[0],), "=AMOUNT"), ((parts[0] + "=5", parts[0] + "=5"), "once"), ((parts[0] + "=11",), "more than it has left")):
    row, status = d.event("disburse", 11, 7000, *(word for one in words for word in ("--allot", one)))
    tap.ok(status == 1 and wanted in d.stderr, f"so does an event: {wanted}", (row.get("name"), d.stderr))
row, status = d.event("disburse", 11, 7000, "--allot", parts[1] + "=20")
tap.same((status, row.get("amount")), (0, "20.00"), "without an amount it is the sum of what is allotted")

# ---- consecutive lines of one financing say one thing of the whole
def requests(*lines):
    text = "id,enterprise,product,amount,currency,kind,number,allocated\n" + "".join(f"{line}\n" for line in lines)
    return d.rows("finance", "apply", "--as", 11, "--file", d.file("requests.csv", text))[0]


two = [f"export_declaration,{declaration(7100 + i)},5.00" for i in range(2)]
for at, said in enumerate((f"{USCC_B},export_receivable,10.00,USD", f"{USCC_A},order,10.00,USD", f"{USCC_A},export_receivable,11.00,USD", f"{USCC_A},export_receivable,10.00,EUR")):
    rows = requests(f"7010,{USCC_A},export_receivable,10.00,USD,{two[0]}", f"7010,{said},{two[1]}", f"7011,{said},{two[1]}")
    what = ("enterprise", "product", "amount", "currency")[at]
    tap.ok(rows[0]["name"] == "FORMAT" and rows[0]["why"].startswith(what + ":") and len(rows) == 2, f"another {what} in the second line is refused", rows)
rows = requests(f"7012,{USCC_A},export_receivable,10.00,USD,{two[0]}", f"7012,,,,,{two[1]}")
tap.same([(r["name"], r["amount"]) for r in rows], [("OK", "10.00")], "what the second line leaves out the first has said")
rows = requests(f"7013,{USCC_A},export_receivable,10.00,USD,{two[0]}", f"7013,{USCC_A},export_receivable,10,USD,{two[1]}")
tap.same([(r["name"], r["amount"]) for r in rows], [("OK", "10.00")], "one amount, written twice")

# ---- a line that cannot be read takes its financing with it, and no other
LINE = f"{USCC_A},export_receivable,10.00,USD"
short = "7020," + LINE + ",export_declaration"  # two cells are missing
for what, broken, numbers in (("without its last cells", short, [(7020, 2), (7020, 3), (7021, 5)]), ("with one too many", short + ",1,5.00,x", [(7020, 2), (7020, 3), (7021, 5)]),
                              ("with an open quotation mark", '"7020,x', [(7020, 2), (0, 3), (7021, 5)]), ("whose id is no number", f"x,{LINE},{two[0]}", [(7020, 2), (0, 3), (7021, 5)])):
    rows = requests(f"7020,{LINE},{two[0]}", broken, f"7020,{LINE},{two[1]}", f"7021,{LINE.replace('10.00', '5.00')},{two[1]}")
    tap.same([(r["id"], r["line"]) for r in rows], numbers, f"a line {what}: it, its financing and the next are answered")
    tap.same([r["name"] for r in rows], ["FORMAT", "FORMAT", "OK"], "the first two are refused")
    tap.ok("line 3" in rows[0]["why"], "and the financing says which line it was", rows[0])
    tap.same(d.row("finance", "show", "11:7020")[0]["name"], "NOT_FOUND", "nothing of it was done")
    d.rows("finance", "withdraw", 7021, "--as", 11, "--reason", "other")
rows = requests(f"7022,{LINE},{two[0]}", f"7022,{LINE},{two[1]}", '"x', f"7023,{LINE.replace('10.00', '5.00')},{two[1]}")
tap.same([(r["id"], r["name"]) for r in rows], [(7022, "OK"), (0, "FORMAT"), (7023, "OK")], "one between two financings, which shows neither's id, is refused alone")
rows = requests(f"7022,{LINE},{two[0]}", f"7022,{LINE},{two[1]}", "7024,x", f"7024,{LINE},{two[1]}")
tap.same([(r["id"], r["name"], r["line"]) for r in rows], [(7022, "OK", 2), (7024, "FORMAT", 4)], "one that its financing begins with refuses that one")
rows = requests(*(f"x,{LINE},{two[0]}" if i % 2 else f"7025,{LINE},{two[0]}" for i in range(3001)))
tap.same((len(rows), {r["name"] for r in rows}, {r["id"] for r in rows}), (1501, {"FORMAT"}, {0, 7025}), "a thousand of them in one financing")

# ---- a header without a needed column is refused once, by name
paper = f"export_declaration,{declaration(7100)},{USCC_A},USD,100.00,2026-11-01"
for words, header, line, missing in ((("verify",), "kind,number,currency,amount,date", "export_declaration,1,USD,1,2026-11-01", "owner_id"),
                                     (("verify",), "owner_id,date", f"{USCC_A},2026-11-01", "kind, number, currency, amount"),
                                     (("finance", "apply", "--file"), "id,enterprise,product,amount", "1,101,p,1", "currency, kind, number"),
                                     (("finance", "events", "--file"), "id,amount", "1,1", "event"), (("import",), "kind,number,amount", "invoice,1,1", "owner_id, currency, date")):
    more = () if words == ("import",) else ("--as", 11)
    rows, status = d.rows(*words, d.file("needed.csv", header + "\n" + (line + "\n") * 5), *more)
    rows = [r for r in rows if "read" not in r]
    tap.same(([(r["line"], r["name"], r["why"]) for r in rows], status), ([(1, "FORMAT", "The header has no column " + missing)], 1), f"{words[-1]}: {missing}")
rows, status = d.rows("verify", d.file("needed.csv", "kind,number\n" + ",".join(paper.split(",")[:2]) + "\n"))
tap.same((rows[0]["name"], status), ("OK", 0), "the operator asks by kind and number alone")
rows, _ = d.rows("verify", d.file("needed.csv", "海关编号,统一社会信用代码,币制,金额\n" + ",".join(paper.split(",")[1:5]) + "\n"), "--as", 11)
tap.same(rows[0]["kind"], "export_declaration", "a Chinese name of the number's column says the kind")

# ---- an event's line has one form; a line that has it not is refused alone, by the name of what is wrong
BAD = (("x,accept,,,,", "id"), (",accept,,,,", "id"), ("-1,accept,,,,", "id"), ("7022.0,accept,,,,", "id"), ("18446744073709551616,accept,,,,", "id"), ("7022,dance,,,,", "event"), ("7022,,,,,", "event"),
       ("7022,reject,,,whim,", "reason"), ("7022,accept,,,whim,", "reason"), ("7022,reject,,,,", "reason"), ("7022,withdraw,,,,", "reason"), ("7022,repay,1.00,gift,,", "source"), ("7022,accept,,,,x", "expect"), ("7022,accept,,,,-1", "expect"),
       ("7022,accept,,,,4294967296", "expect"), ("7022,disburse,1.001,,,", "amount"), ("7022,disburse,-1.00,,,", "amount"), ("7022,disburse,1e2,,,", "amount"), ("7022,disburse,0x1,,,", "amount"))
rows, status = d.rows("finance", "events", "--as", 11, "--file", d.file("events.csv", "id,event,amount,source,reason,expect\n" + "".join(line + "\n" for line, _ in BAD) + "7023,accept,,,,\n"))
tap.same(([(r["line"], r["name"], (r.get("why") or "").split(":")[0]) for r in rows[:-1]], status), ([(n, "FORMAT", what) for n, (_, what) in enumerate(BAD, 2)], 1), "lines of events that are none")
tap.same((rows[-1]["id"], rows[-1]["name"]), (7023, "OK"), "the next one is done")
tap.same(d.row("finance", "show", "11:7022")[0]["state"], "APPLIED", "and of theirs nothing was")

# ---- what an event does not take is refused
for event, words, wanted in (("reverse", ("--allot", parts[0] + "=1"), "disburse and repay"),
                             ("disburse", ("--source", "collection"), "repay"), ("accept", ("--source", "own-funds"), "repay"), ("repay", ("--reason", "other"), "reject, withdraw and reverse"),
                             ("approve", ("--reason", "other"), "reject, withdraw and reverse")):
    done = d.raw("finance", event, 7022, "--as", 11, *words)
    tap.ok((done.returncode, done.stdout) == (2, "") and wanted in done.stderr and f"not with {event}" in done.stderr, f"{event} {words[0]}: usage", done.stderr)
done = d.raw("finance", "accept", 7022, "--as", 11, "--amount", "1.00")
tap.ok((done.returncode, done.stdout) == (2, "") and "10.00, not 1.00" in done.stderr, "an acceptance of a part: usage", done.stderr)
tap.same(d.row("finance", "show", "11:7022")[0]["state"], "APPLIED", "and nothing was done")
tap.same(d.row("finance", "accept", 7022, "--as", 11, "--amount", "10.00")[0]["state"], "ACCEPTED", "one that names the whole is no mistake")
tap.same(d.status("audit", "--height", 0), 2, "there is no height 0")

# ---- standard files that the caller closed are none of the directory's
def closed(redirections, *words):
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirections}', COMMAND, "--data", d.data, *words], capture_output=True, text=True, cwd=d.root, timeout=60)


for redirections, words, wanted in ((">&-", ("stats",), 3), ("2>&-", ("rule", "set", "nonsense", "1"), 1), (">&- 2>&-", ("rule", "set", "nonsense", "1"), 3), ("<&-", ("import", "-"), 3)):
    before = open(d.data + "/lock", "rb").read()
    done = closed(redirections, *words)
    tap.same((done.returncode, open(d.data + "/lock", "rb").read().count(b"nonsense")), (wanted, before.count(b"nonsense")), f"with {redirections} {' '.join(words)}")
tap.ok(d.row("audit")[0]["ok"], "and the log holds")

# ---- files that are no files of ours
for name, data in (("empty.csv", b""), ("noise.bin", bytes(range(256)) * 50), ("cut.xml", b"<Invoice xmlns='urn:oasis:names:specification:ubl:schema:xsd:Invoice-2'><ID>"), ("nul.csv", HEADER.encode() + b"\0" * 100)):
    rows, status = d.rows("import", d.file(name, data))
    tap.ok(status == 1 and rows and rows[-1]["stored"] == 0, f"{name} gets an answer", (rows, status, d.stderr))

# ---- what a refusal quotes is cut between characters, and steers neither the terminal nor whoever reads lines
d.file("quoted.csv", HEADER + f"invoice,{'中' * 60},X1,USD,1,2026-01-01\ninvoice,A1,X1,USD,{'中' * 60},2026-01-01\ninvoice,A\u009b31m\u0085\u2028B,X1,USD,1,2026-01-01\n"
                          f"invoice,B{'合同' * 8},X1,USD,1,2026-01-01\ninvoice,B{'合同' * 8},X1,USD,2,2026-01-01\n")
for form in ([], ["--json"]):
    done = subprocess.run([COMMAND, "--data", d.data, *form, "import", os.path.join(d.root, "quoted.csv")], capture_output=True)
    text = done.stdout.decode(errors="replace")
    tap.ok("\ufffd" not in text and not any("\x7f" <= c < "\xa0" for c in text), "no broken and no control character", text)
    if form:
        tap.same([json.loads(line).get("name") for line in text.splitlines()], 3 * ["FORMAT"] + ["CONFLICT", None], "each answer is one line")
done = subprocess.run([COMMAND, "--data", d.data, "--json", "verify", os.path.join(d.root, "quoted.csv"), "--as", "11"], capture_output=True)
tap.ok("\ufffd" not in done.stdout.decode(errors="replace"), "a number too long to be one is cut so too")
with open(os.path.join(d.root, "quoted.csv.refused.csv"), "rb") as f:
    tap.ok("\ufffd" not in f.read().decode(errors="replace"), "nor in what stands beside the file")
d.close()
tap.end()
