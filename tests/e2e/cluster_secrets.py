"""What a bank's node holds of other banks: nothing. Four banks work on a cluster, through their nodes; then each node's memory (of kanhed, CometBFT and
the supervisor), its disk and all that nodes sent each other are searched for every other bank's numbers, names, amounts and ids, as texts, as binary
numbers and as keys of documents. As root: kanhed lets nobody else read its memory."""
from cluster_secrets_town import *

tap = Tap()
if os.geteuid() != 0:
    print("ok 1 # SKIP root alone may read kanhed's memory and capture packets\n1..1")
    sys.exit(0)
root = tempfile.mkdtemp(prefix="kanhe-secrets-")
town = Town(root, "town", "--suite", os.environ.get("SUITE", "intl"))
ALL = {side.id: side.marks(key_of) for side in SIDES}


class Certificates(Authority):
    """Of the cluster's authority, for whoever has none there."""

    def __init__(self):
        self.root, self.made, self.lock = root, dict(town.certificates), threading.Lock()
        self.ca, self.ca_key = town.ca, town.path(town.env()["ca_key"])

    def key(self, party, role):
        """A key to sign with, where the command finds it: the public one."""
        file = self.party(party, role)[1].removesuffix(".key") + ".sign"
        return subprocess.run([os.environ["KANHE_KEY"], "intl", "sign", file], check=True, capture_output=True, text=True).stdout.strip()


def kanhe(node, party, role, *words, good=(0,)):
    town.certificates[party] = certificates.party(party, role)
    rows, status = town.rows(node, party, *words, wait=60, timeout=240)
    if status not in good:
        print(f"# {party}: {' '.join(map(str, words))}: {status} {rows} {town.said[-600:]}", flush=True)
    return status, rows


def live(side):
    """A bank's day, through its own node."""
    own, id_ = side.node, side.id
    f, names = side.financings, []
    requests = "id,enterprise,product,amount,currency,kind,number,issuer\n" + "".join(
        f"{f[i]},{enterprise},{side.product},{side.amounts[i]},USD,{kind},{number},{issuer}\n" for i, enterprise, kind, number, issuer in
        ((0, side.enterprise, "export_declaration", side.papers[0], ""), (1, side.enterprise, "export_declaration", side.papers[1], ""), (2, side.enrolled, "export_declaration", side.papers[2], ""),
         (3, side.enterprise, "export_declaration", declaration(side.seed), ""), (4, side.enterprise, "invoice", side.invoice, side.uscc)))
    _, rows = kanhe(own, id_, "bank", "finance", "apply", "--file", town.write(f"{id_}-r.csv", requests), good=(0, 1))
    names += [row.get("name") for row in rows]
    tap.ok(names.count("OK") + names.count("SIMILAR") == 4 and "NOT_FOUND" in names, f"{side.node}: applications and a refusal", names)
    events = "id,event,amount,source,reason\n" + "".join(f"{f[0]},{e},,,\n" for e in ("accept", "approve", "disburse")) + f"{f[0]},repay,{side.amounts[4]},own-funds,\n" + \
        f"{f[1]},accept,,,\n{f[1]},reject,,,fraud_suspected\n{f[5]},accept,,,\n"
    _, rows = kanhe(own, id_, "bank", "finance", "events", "--file", town.write(f"{id_}-e.csv", events), good=(0, 1))
    tap.ok([row.get("name") for row in rows].count("OK") >= 4, f"{side.node}: events and a refusal", rows)
    verify = REFERS + "".join(line + "\n" for line in side.import_lines()) + f"export_declaration,{side.papers[3]},{side.uscc},USD,1.00,2026-11-01,,,\n"
    status, rows = kanhe(own, id_, "bank", "verify", town.write(f"{id_}-v.csv", verify), good=(0, 1))
    tap.ok(len(rows) >= 7, f"{side.node}: verify, asked of a hub by its node", (status, rows))
    kanhe(own, id_, "bank", "balance", "export_declaration:" + side.papers[0], "--owner", side.uscc, "--amount", side.bases[0])
    kanhe(own, id_, "bank", "risk", "add", side.subject, "--category", "fraud", good=(0, 1, 3))
    kanhe("hub1", side.enterprise, "enterprise", "grant", "add", "--id", side.grant, "--bank", id_, "--scope", "documents,credit", "--until", "2099-12-31")
    kanhe(own, id_, "bank", "credit", side.enterprise, "--grant", side.grant, good=(0, 1, 3))
    _, rows = kanhe(own, id_, "bank", "finance", "list")
    tap.ok({row["id"] for row in rows} >= {f[0], f[1], f[2]}, f"{side.node}: its financings", rows)


def strangers(side):
    """What a bank's node answers to parties other than its bank: nothing of the bank's."""
    own, got = town.urls[side.node], b""
    context = ssl.create_default_context(cafile=certificates.ca)
    other = next(s for s in SIDES if s is not side)
    for party, role in ((None, None), (other.id, "bank"), (1, "regulator"), (201, "source"), (side.enterprise, "enterprise")):
        context = ssl.create_default_context(cafile=certificates.ca)
        context.check_hostname = False
        if party is not None:
            context.load_cert_chain(*certificates.party(party, role))
        for method, path in [("GET", p) for p in ("/metrics", "/v1/me", "/v1/parties", "/v1/alerts", "/v1/financings", "/v1/stats", "/v1/audit", "/v1/cluster", "/v1/grants", "/v1/risk", "/health",
                                                  f"/v1/financings/{side.financings[0]}", f"/v1/financings/{side.id}:{side.financings[0]}", f"/v1/financings/{side.financings[0]}/receipt",
                                                  f"/v1/balance?document=export_declaration:{side.papers[0]}", f"/v1/history?document=export_declaration:{side.papers[0]}")] + \
                            [("POST", f"/v1/financings/{side.financings[0]}/repay"), ("POST", "/v1/snapshot")]:
            try:
                host, port = own[len("https://") :].split(":")
                connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
                connection.request(method, path, b"{}" if method == "POST" else None, {"Accept": "application/json", "Content-Type": "application/json"})
                answer = connection.getresponse()
                asked = path.encode()
                body = answer.read()
                found = [m for m in ALL[side.id] if m in body and m not in asked]
                if found:
                    print(f"# {party} {path}: {answer.status} {body[:300]}")
                got += b"".join(found)
                connection.close()
            except (OSError, http.client.HTTPException):
                continue
    tap.same(got, b"", f"{side.node}: strangers, another bank, the regulator, a source, a customer are told nothing of its bank's")


def brief(found):
    return "\n".join(f"{mark} at {place}" for mark, place in found[:20])


def look(side, things, what):
    others = [mark for other in SIDES if other is not side for mark in ALL[other.id]]
    found, size = search(root, others, *things)
    tap.ok(not found and size > 1 << 20, f"{side.node}: {what}: {size >> 20} MiB hold none of {len(others)} marks of other banks", brief(found) or size)


def live_and_look():
    kanhe("hub1", 201, "source", "import", town.write("all.csv", REFERS + "".join(line + "\n" for side in SIDES for line in side.import_lines())))
    for side in SIDES:
        for id_, name, uscc in ((side.enterprise, side.name, side.uscc), (side.enterprise + 1, side.name + " II", side.enrolled)):
            kanhe("hub1", 1, "regulator", "party", "add", "--id", id_, "--role", "enterprise", "--name", name, "--uscc", uscc)
        kanhe("hub1", 1, "regulator", "party", "key", side.enterprise, "--public", certificates.key(side.enterprise, "enterprise"))
    threads = [threading.Thread(target=live, args=(side,)) for side in SIDES]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for side in SIDES[:2]:
        strangers(side)
    every = sorted({mark for marks in ALL.values() for mark in marks})
    for side in SIDES:
        tap.ok(town.until(lambda: len(town.node(side.node)["pids"]) == 3), f"{side.node}: supervisor, kanhed, CometBFT", town.node(side.node)["pids"])
        pids = [f"pid:{pid}" for pid in town.node(side.node)["pids"]]
        found, _ = search(root, ALL[side.id], *pids)
        wanted = (struct.pack("<Q", side.financings[0]), struct.pack("<Q", cents(side.amounts[0])), side.papers[0].encode(), key_of(side.documents()[0]))
        tap.same([m for m in wanted if m not in {mark for mark, _ in found}], [], f"{side.node}: the search finds its own in its memory ({len(found)} marks)")
        look(side, pids, "memory")
    found, _ = search(root, every, *(f"pid:{pid}" for pid in town.node("hub1")["pids"]))
    tap.ok(all(struct.pack("<Q", side.financings[0]) in {m for m, _ in found} for side in SIDES), "the search finds all banks' in the hub's memory")


def look_at_traffic(capture):
    every = sorted({mark for marks in ALL.values() for mark in marks})
    capture.flush()
    for port, what in ((26650, "links"), (26656, "CometBFT's"), (8443, "HTTPS")):
        sums = capture.bytes_at(port)
        # One CometBFT may have dialled all others and listened to none: its connections are seen at their other ends.
        tap.ok(len(sums) >= (4 if port == 26656 else 5) and min(sums.values()) > 1000, f"captured of each node: {what}", sums)
    found, size = search(root, every, "tree:" + capture.folder)
    tap.ok(not found and size > 1 << 20, f"traffic: {size >> 20} MiB hold none of {len(every)} marks", brief(found))
    a, b = ([n["url"][len("https://") :].split(":")[0] for n in town.env()["nodes"]])[:2]
    with socket.create_server((a, 0)) as server:
        with socket.create_connection(server.getsockname(), source_address=(b, 0)) as out, server.accept()[0] as into:
            out.sendall(b"in the clear: " + ALL[11][0])
            into.recv(100)
    capture.flush()
    found, _ = search(root, every, "tree:" + capture.folder)
    tap.same([m for m, _ in found], [ALL[11][0]], "what is sent in the clear is found")
    seen, lost = capture.end()
    tap.ok(lost * 100 <= seen, f"of {seen} packets {lost} were missed")


def look_at_disks():
    for side in SIDES:
        home = town.home(side.node)
        look(side, ["tree:" + home], "disk")
        found, _ = search(root, ALL[side.id], "tree:" + home)
        tap.ok(not found, f"{side.node}: nor is anything of its own in the clear on its disk", brief(found))
    found, _ = search(root, sorted({m for marks in ALL.values() for m in marks}), "tree:" + town.home("hub1"))
    tap.ok(all(side.papers[0].encode() in {m for m, _ in found} for side in SIDES), "the search finds all banks' on the hub's disk")


try:
    if not town.well(tap, "up", "up", *town.words):
        tap.end()
    town.look()
    certificates = Certificates()
    capture = Capture([n["url"][len("https://") :].split(":")[0] for n in town.env()["nodes"]], os.path.join(root, "captured"))
    for part, words in ((live_and_look, ()), (look_at_traffic, (capture,))):
        began = time.monotonic()
        part(*words)
        print(f"# {part.__name__}: {time.monotonic() - began:.0f} s")
    town.well(tap, "down", "down")
    look_at_disks()
finally:
    if os.path.isdir(town.dir):
        town.tool("down")
    shutil.rmtree(root, ignore_errors=True)
tap.end()
