"""What two banks on one hub learn of each other (DOMAIN, section 7): both ask and do everything that there is, over the HTTPS API, by the
command and over sealed datagrams; each byte that one receives is searched for the other's ids, names, numbers and amounts. What is another's
answers as what is not there."""
import statistics
import urllib.parse
from two_banks_town import *

ROOT = os.environ["KH_SOURCE_ROOT"]
OPENAPI = os.path.join(ROOT, "docs", "openapi.yaml")
JSON, LINES = "application/json", "application/x-ndjson"
tap = Tap()
town = Town(OPENAPI)
quote = urllib.parse.quote


def live(x):
    """What a bank and its own customers do in a day; the other knows nothing of it."""
    for i, document, enterprise in ((0, x.paper(0), x.enterprise), (1, x.paper(1), x.uscc), (2, x.paper(2), x.enrolled), (3, "export_declaration:" + COMMON, SHARED),
                                    (4, f"invoice:{x.invoice}", x.enterprise), (5, "export_declaration:" + x.similar, USCC_B)):
        town.apply(x, i, document, enterprise, ("OK", "SIMILAR"))
    # the order, and the invoice under it: the second bank finds the group taken, and is told no more
    row, = town.rows(x.id, "POST", "/v1/financings", {"id": str(x.financings[6]), "enterprise": USCC_B, "product": x.product, "amount": "30000.00", "currency": "USD",
                                                      "documents": [f"order:{B.order}" if x is B else f"invoice:{A.order}@{USCC_B}"]})
    town.group.append(row["name"])
    for i in (0, 3):
        for event in ("accept", "approve", "disburse"):
            town.event(x, i, event)
    town.event(x, 0, "repay", amount=x.repaid, source="own-funds")
    town.event(x, 1, "reject", reason="fraud_suspected")
    for n, enterprise in enumerate((x.enterprise, SHARED)):
        town.must(enterprise, "POST", "/v1/grants", {"id": str(x.grants[n]), "bank": str(x.id), "scope": "documents,credit", "until": "2099-12-31"})
        for scope in ("credit", "documents"):
            town.rows(x.id, "GET", f"/v1/credit?enterprise={enterprise}&grant={x.grants[n]}&scope={scope}")
    town.must(x.id, "POST", "/v1/risk", {"subject": x.subject, "category": "fraud"})
    town.must(x.id, "POST", "/v1/risk", {"subject": "ACCOUNTOFBOTH1", "category": "default"})


def everything(who, x, y):
    """Each call of the API, as party `who` of the side x, with its own things and with those of y."""
    own, other = x.financings[0], y.financings[0]
    proof = f"&owner={x.uscc}&amount={x.bases[0]}"
    apply = {"id": "990001", "enterprise": str(y.enterprise), "product": "p", "amount": "1.00", "currency": "USD", "documents": [y.paper(2)]}
    lines = REFERS + "".join(f"{kind},{number},{owner},USD,{amount},2026-11-01,,,\n" for kind, number, owner, amount in
                             [("export_declaration", n, o, a) for n in (*y.papers, COMMON, y.similar, x.papers[0]) for o in (USCC_A, x.uscc) for a in ("1.00", "500000.00")]
                             + [("invoice", y.invoice, x.uscc, "1.00"), ("order", y.order, USCC_B, "40000.00")])
    requests = "id,enterprise,product,amount,currency,kind,number\n" + "".join(f"{990100 + i},{e},p,1.00,USD,{k},{n}\n" for i, (e, k, n) in enumerate(
        (e, k, n) for e in (y.enterprise, y.uscc, y.enterprise_name, y.name, x.enterprise) for k, n in (("export_declaration", y.papers[2]), ("invoice", y.order), ("invoice", y.papers[0]))))
    events = "id,event,amount,source,reason\n" + "".join(f"{f},{e},,,\n" for f in (other, 990999) for e in ("accept", "approve", "disburse", "reverse"))
    feed = lines if who != SOURCE else HEADER + f"export_declaration,{declaration(888000111)},{USCC_B},USD,1.00,2026-11-01\n"
    for accept in (JSON, LINES):
        def get(path, route=None, method="GET", body=None, kind=JSON):
            town.ask(who, method, path, body, kind, accept, route)

        def post(path, body=None, route=None, kind=JSON):
            get(path, route, "POST", body, kind)

        for path in ("/health", "/ready", "/metrics", "/v1/openapi.yaml", "/v1/me", "/v1/parties", "/v1/parties?limit=1", f"/v1/parties?after={y.id - 1}&limit=1",
                     f"/v1/parties?after={y.enterprise - 1}&limit=2", "/v1/rules", "/v1/rates", "/v1/alerts", "/v1/alerts?limit=1", "/v1/financings", "/v1/financings?limit=1",
                     "/v1/financings?state=DISBURSED", "/v1/stats", "/v1/audit", "/v1/grants", "/v1/grants/lookups", "/v1/risk/account", "/v1/none", "/v1/financings?colour=red"):
            get(path)
        post("/v1/parties", {"id": y.id, "role": "bank", "name": y.name})
        for party in (y.id, quote(y.name), y.uscc, 4711):
            post(f"/v1/parties/{party}/freeze", {}, "/v1/parties/{party}/freeze")
            post(f"/v1/parties/{party}/unfreeze", {}, "/v1/parties/{party}/unfreeze")
            post(f"/v1/parties/{party}/key", {"key": "11" * 32}, "/v1/parties/{party}/key")
            get(f"/v1/parties/{party}", "/v1/parties/{party}")
        get("/v1/rules/refusal_limit", "/v1/rules/{name}", "PUT", {"value": "off"})
        post("/v1/rates", {"from": "EUR", "to": "USD", "value": "1.1", "date": "2026-11-01", "source": "x"})
        for source in (SOURCE, y.id, quote(y.name)):
            post(f"/v1/documents?name=d.csv&source={source}", feed, "/v1/documents", "text/csv")
        post("/v1/show?name=d.csv", lines, "/v1/show", "text/csv")
        post("/v1/verify?name=v.csv", lines, "/v1/verify", "text/csv")
        post("/v1/verify", '{"kind":"export_declaration","number":"%s"}\n' % y.papers[0], "/v1/verify", "application/json")
        for document in (y.paper(0), y.paper(2), f"invoice:{y.invoice}", f"invoice:{y.invoice}@{y.uscc}", f"order:{y.order}", f"export_declaration:{y.similar}", x.paper(0),
                         f"export_declaration:{COMMON}", "nonsense"):
            for more in ("", proof, COMMON_PROOF, f"&owner={USCC_B}&amount=90000.00", f"&owner={USCC_B}&amount=40000.00"):
                get(f"/v1/balance?document={document}{more}", "/v1/balance")
                get(f"/v1/history?document={document}{more}", "/v1/history")
        post("/v1/financings", apply)
        post("/v1/financings", {**apply, "documents": [f"invoice:{y.papers[0]}", y.paper(2)], "allow_partial": True})
        for enterprise in (y.uscc, y.enterprise_name, y.name, str(y.id), str(x.enterprise), str(SHARED)):
            post("/v1/financings", {**apply, "enterprise": enterprise})
            post("/v1/financings", {**apply, "enterprise": enterprise, "documents": ["export_declaration:" + y.similar, f"order:{y.order}=1.00"]})
        post("/v1/financings/file", requests, kind="text/csv")
        post("/v1/financings/events", events, kind="text/csv")
        for financing in (own, other, f"{y.id}:{other}", f"{quote(y.name)}:{other}", f"{x.id}:{own}", "x"):
            get(f"/v1/financings/{financing}", "/v1/financings/{id}")
            get(f"/v1/financings/{financing}/receipt", "/v1/financings/{id}/receipt")
        for event in ("accept", "approve", "reject", "withdraw", "disburse", "repay", "reverse", "burn"):
            for fields in ({}, {"amount": "1.00", "reason": "other", "source": "collection", "expect": 1, "allot": [y.paper(0) + "=1.00"]}):
                post(f"/v1/financings/{other}/{event}", fields, "/v1/financings/{id}/{event}")
        post("/v1/snapshot", {})
        post("/v1/grants", {"id": "990001", "bank": y.name, "scope": "credit", "until": "2099-12-31", "enterprise": str(y.enterprise)})
        for enterprise in (None, y.enterprise, y.uscc, y.enterprise_name):
            post(f"/v1/grants/{y.grants[0]}/revoke", {} if enterprise is None else {"enterprise": str(enterprise)}, "/v1/grants/{id}/revoke")
        for enterprise in (y.enterprise, y.uscc, y.enrolled, quote(y.enterprise_name), y.id, SHARED, x.enterprise):
            for grant in (y.grants[0], y.grants[1], x.grants[0], x.grants[1]):
                if enterprise != SHARED or grant != x.grants[1]:
                    get(f"/v1/credit?enterprise={enterprise}&grant={grant}&scope=credit,documents", "/v1/credit")
        post("/v1/risk", {"subject": y.subject, "category": "fraud"})
        post("/v1/risk/remove", {"subject": y.subject, "category": "fraud"})
        for of in (str(y.id), y.name, "4711"):
            post("/v1/risk/remove", {"subject": y.subject, "category": "fraud", "of": of})
        post("/v1/risk/ask", {"subjects": [y.subject, x.subject, "ACCOUNTOFBOTH1", "ACCOUNTOFNOBODY"]})
        post("/v1/sessions", {})
        get(f"/v1/sessions/{town.session.get(y.id, '0' * 16)}", "/v1/sessions/{session}", "DELETE")
        get("/v1/verify", "/v1/verify", "PUT")
    get("/v1/cluster", "/v1/cluster")
    post("/v1/bundles", b"\x01" * 200, None, "application/octet-stream")
    post("/v1/changes", b"\x03" * 200, None, "application/octet-stream")
    post("/v1/operations", b"\x01" * 40, None, "application/octet-stream")
    for party, enterprise, document in ((who, y.enterprise, y.paper(2)), (who, y.enterprise, f"invoice:{y.papers[0]}@{y.uscc}"), (who, 4711, y.paper(2)), (who, SHARED, "order:" + y.order),
                                        (y.id, y.enterprise, y.paper(0))):
        accept = "application/octet-stream"
        post("/v1/operations", op_apply(party, 990301, 100, enterprise, town.key(document)), None, "application/octet-stream")


def everything_typed(who, x, y):
    """Each command, as party `who`."""
    lines, requests, events = (town.write(f"{who}-{name}", text) for name, text in (
        ("v.csv", REFERS + "".join(f"export_declaration,{n},{USCC_A},USD,1.00,2026-11-01,,,\n" for n in (*y.papers, COMMON, y.similar))),
        ("r.csv", f"id,enterprise,product,amount,currency,kind,number\n990201,{y.enterprise},p,1.00,USD,invoice,{y.papers[0]}\n"),
        ("e.csv", f"id,event\n{y.financings[0]},accept\n")))
    apply = ("finance", "apply", "--id", 990200, "--product", "p", "--amount", "1.00", "--currency", "USD")
    for words in (("party", "add", "--id", y.id, "--role", "bank", "--name", y.name), ("party", "list"), ("party", "freeze", y.name), ("party", "unfreeze", y.id), ("party", "key", y.enterprise, "--public", "11" * 32),
                  ("prove", y.financings[0], "-o", "receipt.json"),
                  ("rule", "set", "refusal_limit", "off"), ("rule", "list"), ("rate", "set", "EUR", "USD", "1.1", "--date", "2026-11-01", "--source", "x"), ("rate", "list"),
                  ("balance", y.paper(0)), ("balance", f"export_declaration:{COMMON}", "--owner", USCC_A, "--amount", "500000.00"), ("balance", y.paper(0), "--as", y.name),
                  ("history", y.paper(0)), ("history", f"export_declaration:{COMMON}", "--owner", USCC_A, "--amount", "500000.00"), ("history", x.paper(0), "--owner", x.uscc, "--amount", x.bases[0]),
                  ("alerts",), ("alerts", "--as", y.id), (*apply, "--enterprise", y.enterprise, "--doc", y.paper(2)), (*apply, "--enterprise", y.enterprise, "--doc", f"invoice:{y.papers[0]}"),
                  *(("finance", event, y.financings[0], *(("--reason", "other") if event in ("reject", "withdraw") else ())) for event in
                    ("accept", "approve", "reject", "withdraw", "disburse", "repay", "reverse")),
                  ("finance", "show", y.financings[0]), ("finance", "show", f"{y.name}:{y.financings[0]}"), ("finance", "show", x.financings[0]), ("finance", "list"),
                  ("grant", "add", "--id", 990201, "--bank", y.name, "--scope", "credit", "--until", "2099-12-31"), ("grant", "revoke", y.grants[0]), ("grant", "list"), ("grant", "lookups"),
                  ("credit", y.enterprise, "--grant", y.grants[0]), ("credit", y.enterprise_name, "--grant", y.grants[0]), ("risk", "add", y.subject, "--category", "fraud"),
                  ("risk", "remove", y.subject, "--category", "fraud", "--of", y.name), ("risk", "ask", y.subject), ("risk", "account"), ("stats",), ("audit",), ("snapshot",)):
        town.command(who, *words)
    for words, name in ((("import",), lines), (("show",), lines), (("verify",), lines), (("finance", "apply", "--file"), requests), (("finance", "events", "--file"), events)):
        town.command(who, *words, name, files=(name,))


def normal(text):
    return re.sub(rb'("(?:height|as_of|since)":)\d+|("(?:watermark|time)":)"[^"]*"|(Content-Length\', \')\d+', rb"\1\2\3*", text)


def alike(who, name, method, path, theirs, nothing, body=None, **more):
    """The answer about `theirs` is that about `nothing`, byte for byte, but for what was asked. {} stands for it in path and body."""
    def put(what):
        def fill(v):
            return v.replace("{}", str(what)) if isinstance(v, str) else [fill(i) for i in v] if isinstance(v, list) else {k: fill(i) for k, i in v.items()} if isinstance(v, dict) else v
        status, head, got = town.ask(who, method, path.replace("{}", quote(str(what))), fill(body), **more)
        for spelling in (str(what), json.dumps(str(what))[1:-1], quote(str(what))):
            got = got.replace(spelling.encode(), b"<asked>")
        return normal(f"{status} {head}\n".encode() + got)
    a, b = put(theirs), put(nothing)
    return tap.ok(a == b, f"{who}: {name}: another's is as none", f"theirs {a}\nnone   {b}")


def as_none(x, y):
    who, base = x.id, {"product": "p", "amount": "1.00", "currency": "USD"}
    none_id, none_name, none_uscc, none_fin = 4042424242, "Nobody Nowhere & Sons", "NOBODYNOWHERE77", 5550000000001
    for question in ("balance", "history"):
        for proof in ("", f"&owner={USCC_A}", "&amount=1.00", f"&owner={USCC_A}&amount=1.00", COMMON_PROOF):
            alike(who, f"{question} {proof[:12]}", "GET", f"/v1/{question}?document=export_declaration:{{}}{proof}", y.papers[0], declaration(999000999))
        alike(who, f"{question} of an invoice", "GET", f"/v1/{question}?document=invoice:{{}}@{y.uscc}", y.invoice, "KHINV00000000")
    for number in ("{}", f"{y.id}:{{}}", f"{quote(y.name)}:{{}}"):
        alike(who, f"financing {number[:9]}", "GET", "/v1/financings/" + number, y.financings[0], none_fin)
    alike(who, "financing of a bank", "GET", f"/v1/financings/{{}}:{none_fin}", y.id, none_id)
    alike(who, "financing of a bank by name", "GET", f"/v1/financings/{{}}:{y.financings[0]}", y.name, none_name)
    for event in ("accept", "approve", "reject", "withdraw", "disburse", "repay", "reverse"):
        for fields in ({}, {"amount": "1.00"}, {"reason": "other", "source": "collection", "expect": 3}):
            alike(who, f"{event} {' '.join(fields)}", "POST", f"/v1/financings/{{}}/{event}", y.financings[0], none_fin, fields)
    alike(who, "events from a file", "POST", "/v1/financings/events", y.financings[0], none_fin, "id,event,amount\n{},accept,1.00\n{},repay,\n", kind="text/csv")
    for frozen in (False, True):
        for kind, theirs, nothing in (("id", y.enterprise, none_id), ("USCC", y.uscc, none_uscc), ("enrolled USCC", y.enrolled, none_uscc), ("name", y.enterprise_name, none_name),
                                      ("bank's id", y.id, none_id), ("bank's name", y.name, none_name)):
            for document in (x.paper(3), "export_declaration:" + declaration(999000999), y.paper(0) if kind != "id" and kind != "USCC" else x.paper(0), f"invoice:{x.invoice}"):
                alike(who, f"application for an enterprise by {kind}{', frozen' if frozen else ''}", "POST", "/v1/financings", theirs, nothing,
                      {"id": "990777", "enterprise": "{}", **base, "documents": [document]})
            alike(who, f"applications from a file for {kind}", "POST", "/v1/financings/file", theirs, nothing,
                  "id,enterprise,product,amount,currency,kind,number\n990778,{}" + f",p,1.00,USD,export_declaration,{x.papers[3]}\n", kind="text/csv")
            heights = [town.height()]
            for enterprise in (theirs, nothing):
                town.ask(who, "GET", f"/v1/credit?enterprise={quote(str(enterprise))}&grant={y.grants[0]}")
                heights.append(town.height())
            tap.same(heights[1] - heights[0], heights[2] - heights[1], f"{who}: a look-up by {kind} is filed or not alike")
            alike(who, f"credit by {kind}", "GET", f"/v1/credit?enterprise={{}}&grant={y.grants[0]}", theirs, nothing)
        for party in (y.enterprise, town.enrolled_id(y)):
            town.must(REGULATOR, "POST", f"/v1/parties/{party}/{'unfreeze' if frozen else 'freeze'}", {})
    alike(who, "a grant's number", "GET", f"/v1/credit?enterprise={SHARED}&grant={{}}", y.grants[1], 999777)
    for of, nothing in ((y.id, none_id), (y.name, none_name), (y.enterprise, none_id)):
        alike(who, "a contribution of", "POST", "/v1/risk/remove", of, nothing, {"subject": y.subject, "category": "fraud", "of": "{}"})
    alike(who, "removing what another contributed", "POST", "/v1/risk/remove", y.subject, "ACCOUNTOFNOBODY", {"subject": "{}", "category": "fraud"})
    alike(who, "a session", "DELETE", "/v1/sessions/{}", town.session[y.id], "00" * 8)
    for customer in (x.enterprise,):
        grant = {"id": "880088", "scope": "credit", "until": "2099-12-31"}
        alike(customer, "a grant to a bank by name", "POST", "/v1/grants", y.name, none_name, {**grant, "bank": "{}"})
        alike(customer, "a grant to an enterprise", "POST", "/v1/grants", y.enterprise, none_id, {**grant, "bank": "{}"})
        for kind, theirs, nothing in (("id", y.enterprise, none_id), ("USCC", y.uscc, none_uscc), ("name", y.enterprise_name, none_name)):
            alike(customer, f"another's grant by {kind}", "POST", "/v1/grants", theirs, nothing, {**grant, "bank": str(x.id), "enterprise": "{}"})
            alike(customer, f"revoking another's by {kind}", "POST", f"/v1/grants/{y.grants[0]}/revoke", theirs, nothing, {"enterprise": "{}"})
            alike(customer, f"credit of another by {kind}", "GET", "/v1/credit?enterprise={}", theirs, nothing)
        alike(customer, "a grant's number", "POST", "/v1/grants/{}/revoke", y.grants[0], 999777, {})
        alike(customer, "a document", "GET", "/v1/balance?document=export_declaration:{}", y.papers[0], declaration(999000999))
        alike(customer, "a financing", "GET", "/v1/financings/{}", y.financings[0], none_fin)
    alike(SOURCE, "a feed by name", "POST", "/v1/documents?source={}", y.name, none_name, HEADER, kind="text/csv")
    for words in (("balance", x.paper(0)), ("finance", "list"), ("finance", "show", 1), ("alerts",), ("grant", "list"), ("risk", "account"), ("risk", "ask", "X"), ("verify", town.write("h.csv", HEADER))):
        for theirs, nothing in ((y.id, none_id), (y.name, none_name)):
            a, b = ([done.returncode, (done.stdout + done.stderr).replace(str(p).encode(), b"<asked>")] for p in (theirs, nothing) for done in (town.command(who, *words, "--as", p),))
            tap.ok(a == b and a[0] == 1, f"{who}: {' '.join(map(str, words[:2]))} --as {'name' if theirs == y.name else 'id'}: another's is as none", f"{a}\n{b}")


def found(id_, forbidden):
    """The marks in what a party received that it had not asked with."""
    leaks = {}
    for name, asked, got in town.received[id_]:
        for mark in forbidden:
            if mark in got and mark not in asked:
                leaks.setdefault(name[:110], []).append(mark)
    return leaks


town.group, town.session = [], {}
town.height = lambda: town.rows(REGULATOR, "GET", "/v1/stats")[0]["height"]
town.enrolled_id = lambda side: next(p["id"] for p in town.rows(REGULATOR, "GET", "/v1/parties") if p["uscc"] == side.enrolled)
town.must(REGULATOR, "PUT", "/v1/rules/risk_free_queries", {"value": "100000"})
result = town.rows(SOURCE, "POST", "/v1/documents?name=d.csv", papers(), kind="text/csv")
assert result[-1]["refused"] == 0 and result[-1]["stored"] == 15, result
library = ctypes.CDLL(os.path.join(os.environ["KH_BUILD_ROOT"], "engine", "client", "libkanhe-client.so"))


def key_of(document):
    room = ctypes.create_string_buffer(32)
    at = (ctypes.addressof(room) + 15) & ~15
    assert library.kh_client_document_id(document.encode(), ctypes.c_void_p(at))
    return ctypes.string_at(at, 16)


town.key = key_of
for side in (A, B):
    live(side)
tap.same([name == "OK" for name in town.group], [True, False], "a group of papers is financed once")
# an amendment below what is taken: both are told of their own part
town.must(SOURCE, "POST", "/v1/documents?name=a.csv", HEADER + f"export_declaration,{COMMON},{USCC_A},USD,60000.00,2026-11-01\n", kind="text/csv")
COMMON_PROOF = f"&owner={USCC_A}&amount=60000.00"
for side in (A, B):
    rows = town.rows(side.id, "GET", "/v1/alerts")
    tap.ok(any(r["alert"] == "OVER_LIMIT" and r["bank"] == side.id for r in rows), f"{side.id}: over limit, told to each", rows)
    town.session[side.id] = town.rows(side.id, "POST", "/v1/sessions", {})[0]["session"]
SIDES = ((A.id, A, B), (B.id, B, A), (A.enterprise, A, B), (B.enterprise, B, A), (SOURCE, A, B))
for who, x, y in SIDES:
    everything(who, x, y)
for who, x, y in SIDES[:2]:
    everything_typed(who, x, y)
    questions = [(d, amount, want, owner) for d in (y.paper(0), y.paper(2), f"invoice:{y.invoice}@{y.uscc}", f"order:{y.order}", f"export_declaration:{COMMON}", f"export_declaration:{y.similar}", x.paper(0))
                 for amount in (6000000, 100, 9000000) for want in (2**64 - 1, 100) for owner in (USCC_A, USCC_B, x.uscc)]
    result, answers = town.lookup(who, questions)
    tap.ok(result == 0 and {a[0] for a in answers} >= {21, 23} and any(a[2] not in (0, 2**64 - 1) for a in answers), f"{who}: sealed datagrams", (result, answers[:9]))
for who, x, y in SIDES[:2]:
    as_none(x, y)

# ---- was everything asked?
with open(OPENAPI, encoding="utf-8") as f:
    routes = {(method.upper(), path) for path, methods in json.load(f)["paths"].items() for method in methods}
remote = open(os.path.join(ROOT, "tools", "kanhe", "remote.c"), encoding="utf-8").read()
commands = set(re.findall(r'^    \{"([a-z ]+)", "(?:GET|POST|PUT)"', remote, re.M)) | {"finance " + e for e in re.findall(r'^    EVENT\("(\w+)"\)', remote, re.M)}
for who, _, _ in SIDES[:2]:
    tap.same(sorted(routes - {(m, p) for w, m, p in town.asked_routes if w == who}), [], f"{who} asked each route of the description")
    tap.same(sorted(commands - {c for w, c in town.asked_commands if w == who}), [], f"{who} gave each command")

# ---- the search
for who, x, y in SIDES:
    forbidden = y.marks() if who != SOURCE else [str(t).encode() for z in (A, B) for t in (z.id, z.name, *z.financings, *z.amounts, z.repaid, *z.grants, z.product)]
    leaks = found(who, forbidden)
    size = sum(len(got) for _, _, got in town.received[who])
    tap.ok(not leaks, f"{who}: {len(town.received[who])} answers, {size} bytes, searched for {len(forbidden)} marks", "\n".join(f"{n}: {m}" for n, m in list(leaks.items())[:60]))
for side in (A, B):
    own = b"".join(got for _, _, got in town.received[side.id])
    tap.ok(all(m in own for m in (str(side.financings[0]).encode(), side.amounts[0].encode(), side.name.encode(), side.papers[0].encode())), f"{side.id} sees its own")
for who, x, y in SIDES[:4]:
    cursors = [json.loads(town.ask(who, "GET", path)[2]).get("next", "") for path in ("/v1/financings?limit=1", "/v1/grants?limit=1")]
    tap.ok(all(c == "" or int(c) > 1 << 40 for c in cursors) and any(cursors), f"{who}: where a page ends does not count the others' rows", cursors)
for who in (A.id, B.id, A.enterprise, SOURCE, None):
    status = town.call(who, "GET", "/metrics")[0]
    tap.same(status, 403 if who else 401, f"{who}: the metrics are the regulator's")
status, metrics = town.call(REGULATOR, "GET", "/metrics")
business = {str(t).encode() for z in (A, B) for t in (z.name, z.enterprise_name, z.uscc, z.enrolled, *z.papers, *z.bases, z.invoice, z.order, z.similar, z.contract, *z.financings,
                                                      *z.amounts, z.repaid, *z.grants, z.product, z.subject)} | {COMMON.encode(), USCC_A.encode(), USCC_B.encode(), b"Sharedware", b"Customs House"}
tap.same([m for m in business if m in metrics.encode()], [], "the metrics hold no business data")
tap.same([m for m in business if m in town.said().encode()], [], f"nor does the log ({len(town.said())} bytes)")

# ---- how long it takes
for side, other in ((A, B), (B, A)):
    times = {"another's": [], "none": []}
    for i in range(400):
        for name, path in (("another's", f"/v1/financings/{other.id}:{other.financings[0]}"), ("none", f"/v1/financings/{other.id}:5550000000001")):
            begin = time.perf_counter()
            town.clients[side.id].request("GET", path)
            town.clients[side.id].getresponse().read()
            times[name].append((time.perf_counter() - begin) * 1e6)
    print(f"# {side.id}: median of 400, microseconds: " + ", ".join(f"{name} {statistics.median(t):.0f}" for name, t in times.items()), flush=True)
tap.same(town.stop(), 0, "it stops")
town.close()
tap.end()
