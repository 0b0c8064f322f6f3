"""A disk that fills up under kanhed: operations are refused, questions answered, nothing that was acknowledged is lost."""
import sys
import time
from hub import *

tap = Tap()
if os.geteuid() != 0:
    print("1..0 # SKIP a small disk of its own needs root")
    sys.exit(0)
disk = tempfile.mkdtemp(prefix="kanhed-disk-")


def mount(size, *more):
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={size}", *more]), "kanhe", disk], check=True)


mount("24m")
hub = Hub(data=os.path.join(disk, "data"))
try:
    hub.start()
    status, answer = hub.call(201, "POST", "/v1/documents?name=d.csv", declarations(1000), kind="text/csv")
    tap.ok(status == 200, "it serves from a small disk", answer)
    client = hub.client(11, timeout=120)
    acknowledged, id_, status = set(), 1, 200
    refusal = None
    begun = time.time()
    while refusal is None and time.time() - begun < 150:
        if id_ % 20 == 1 and os.statvfs(disk).f_bavail * 4096 > (1 << 20):  # most of the disk goes at once
            with open(os.path.join(disk, f"ballast{id_}"), "wb") as f:
                try:
                    f.write(bytes(1 << 20))
                except OSError:
                    pass
        status, answer = client.call("POST", "/v1/financings", {
            "id": id_, "enterprise": "101", "product": "export_receivable", "amount": "0.01", "currency": "USD",
            "documents": ["export_declaration:" + declaration(id_ % 1000 + 1)]})
        if status == 200 and answer["results"] and answer["results"][0]["code"] == 0:
            acknowledged.add(id_)
        else:
            refusal = status, answer
        id_ += 1
    tap.ok(refusal is not None and refusal[0] == 503, f"after {len(acknowledged)} operations the disk is full: 503", refusal)
    deadline = time.time() + 30
    while hub.call(None, "GET", "/ready")[0] == 200 and time.time() < deadline:
        time.sleep(0.1)
    tap.same((hub.call(None, "GET", "/ready")[0], hub.call(None, "GET", "/health")[0]), (503, 200), "/ready says no, /health that it lives")
    status, answer = client.call("GET", f"/v1/balance?document=export_declaration:{declaration(1)}&owner={USCC_A}&amount=1000.00")
    tap.ok(status == 200 and answer["results"], "questions are answered", (status, answer))
    status, answer = client.apply(id_ + 1, 5)
    tap.same(status, 503, "operations are not")
    event, deadline = [], time.time() + 30
    while not event and time.time() < deadline:
        time.sleep(0.1)
        event = [e for e in hub.events() if e["event"] == "log_failed"]
    tap.ok(len(event) == 1 and "free space" in event[0]["do"], "the log says once what happened and what to do", event)
    status, text = hub.call(1, "GET", "/metrics", headers={})
    tap.ok("\nkanhe_log_failed 1\n" in text and "\nkanhe_ready 0\n" in text, "so do the metrics", text[:300])
    client.close()
    tap.same(hub.stop(), 3, "it stops, with 3")
    for name in os.listdir(disk):
        if name.startswith("ballast"):
            os.remove(os.path.join(disk, name))
    hub.start()
    rows = {r["id"] for r in hub.kanhe_rows("finance", "list", "--as", 11)[0]}
    tap.ok(acknowledged <= rows, f"with room again, all of {len(acknowledged)} acknowledged operations are there", sorted(acknowledged - rows)[:5])
    client = hub.client(11)
    tap.same(client.apply(id_ + 2, 7), (200, "OK"), "and it goes on")
    client.close()
    tap.same(hub.stop(), 0, "it stops well")
    rows, status = hub.kanhe_rows("audit")
    tap.same((rows[0]["ok"], status), (True, 0), "audit")
finally:
    hub.close()
    subprocess.run(["umount", "-l", disk])
    os.rmdir(disk)
tap.end()
