"""A directory carried without its log: checkpoint, init --from, and both go on alike."""
import shutil
import signal
import time
from kanhe import *

tap = Tap()
d = Directory()
K = "export_declaration:"
N = 3000
first, second = declaration(1), declaration(2)
d.file("d.csv", HEADER + f"export_declaration,{first},{USCC_A},USD,1000.00,2026-11-20\nexport_declaration,{second},{USCC_A},USD,500.00,2026-11-20\n")
assert d.status("import", "d.csv") == 0
for event in ("accept", "approve", "disburse"):
    if event == "accept":
        assert d.apply(11, 1, "600.00", K + first)[1] == 0
    assert d.event(event, 11, 1)[1] == 0
assert d.apply(12, 2, "300.00", K + first, K + second)[1] == 0
assert d.status("grant", "add", "--as", 101, "--id", 1, "--bank", 11, "--scope", "documents", "--until", "2030-01-01") == 0
assert d.status("risk", "add", "6222021234567890", "--as", 11, "--category", "fraud") == 0
assert d.status("gen", "declarations", "--count", N, "--seed", 3, "-o", "many.csv") == 0
assert d.status("gen", "requests", "--count", N, "--seed", 3, "-o", "requests.csv") == 0
assert d.status("import", "many.csv") == 0
applied = d.rows("finance", "apply", "--as", 11, "--file", "requests.csv")
row, status = d.row("checkpoint", "-o", "c")
audit = d.row("audit")[0]
tap.same((status, pick(row, "height", "digest", "checkpoint_digest", "log_digest")), (0, pick(audit, "height", "digest", "checkpoint_digest", "log_digest")),
         "a checkpoint has the audit's digests")
path = os.path.join(d.root, "c")
tap.same(os.stat(path).st_mode & 0o777, 0o600, "a checkpoint is nobody else's to read")
other = os.path.join(d.root, "other")


def there(*words):
    rows, status = d.rows(*words, data=other)
    return rows, status


made = there("init", "--from", "c", "--digest", audit["digest"], "--checkpoint-digest", audit["checkpoint_digest"])
tap.same(made, ([row], 0), "a directory from it, held against the digests")
tap.same(there("audit"), ([{**audit, "begins": audit["height"]}], 0), "the audit prints the same")
QUESTIONS = (
    ("history", K + first), ("history", K + second), ("balance", K + first), ("balance", K + second, "--as", 12), ("finance", "list", "--as", 11), ("finance", "show", 2, "--as", 12),
    ("alerts",), ("party", "list"), ("rule", "list"), ("rate", "list"), ("grant", "list"), ("risk", "account"), ("verify", "many.csv"))
for words in QUESTIONS:
    tap.same(there(*words), d.rows(*words), "the same answer: " + " ".join(map(str, words)))
before = there("stats")[0][0]
again = there("finance", "apply", "--as", 11, "--file", "requests.csv")
tap.ok(again == d.rows("finance", "apply", "--as", 11, "--file", "requests.csv"), "what was applied for is answered as before")
tap.same({r["name"] for r in again[0]}, {r["name"] for r in applied[0]}, "with the old answers")
tap.same(there("stats")[0][0]["financings"], before["financings"], "and nothing twice")
tap.ok(os.stat(other + "/log/0000000000000000.wal").st_size <= 1 << 20 and not os.path.exists(other + "/log/0000000000000001.wal"), "its log has nothing of before")

# ---- both go on; one is killed in the middle
d.apply(12, 3, "100.00", K + second)
assert d.event("repay", 11, 1, "--source", "collection")[1] == 0
there("finance", "apply", "--as", 12, "--id", 3, "--enterprise", 101, "--product", "export_receivable", "--amount", "100.00", "--currency", "USD", "--doc", K + second)
there("finance", "repay", 1, "--as", 11, "--source", "collection")
for words in QUESTIONS[2:6]:
    strip = lambda rows: [{k: v for k, v in r.items() if k not in ("time", "deadline")} for r in rows]
    tap.same(strip(there(*words)[0]), strip(d.rows(*words)[0]), "afterwards too: " + " ".join(map(str, words)))
tap.same(there("audit")[0][0]["content_digest"], d.row("audit")[0]["content_digest"], "the same content")
d.status("gen", "declarations", "--count", N, "--seed", 4, "-o", "more.csv")
for delay in (0.005, 0.02, 0.05):
    p = subprocess.Popen([COMMAND, "--data", other, "import", d.root + "/more.csv"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    p.send_signal(signal.SIGKILL)
    p.wait()
tap.same(there("import", "more.csv")[1], 0, "after kills it is written on")
for _ in range(3):
    there("snapshot")
    there("party", "freeze", 12)
    there("party", "unfreeze", 12)
rows, status = there("audit")
tap.ok(status == 0 and rows[0]["ok"] and rows[0]["begins"] == audit["height"], "and audited", rows)

# ---- its own descendant
tap.same(there("checkpoint", "-o", "c2")[1], 0, "a checkpoint of a directory that was made of one")
third = os.path.join(d.root, "third")
tap.same(d.rows("init", "--from", "c2", data=third)[1], 0, "and a directory of that")
tap.same(pick(d.row("audit", data=third)[0], "digest", "content_digest", "checkpoint_digest"), pick(there("audit")[0][0], "digest", "content_digest", "checkpoint_digest"), "with its digests")

# ---- backups: of it, of the directory that it came from, of none
copied, status = there("backup", "copy")
kept = os.path.join(d.root, "copy")
tap.ok(status == 0 and copied[0]["files"] >= 6 and pick(copied[1], "digest", "content_digest", "begins") == pick(there("audit")[0][0], "digest", "content_digest", "begins"), "a backup of a directory without its past", copied)
tap.same(strip(d.rows("history", "export_declaration:" + declaration(1), data=kept)[0]), strip(there("history", "export_declaration:" + declaration(1))[0]), "has its history")
with open(d.data + "/sources.conf", "w") as f:
    f.write('sources = ( { name = "customs"; requests_need_notice = true; } );')
copied, status = d.rows("backup", "copy2", "--no-audit")
tap.ok(open(d.data + "/sources.conf").read() == open(os.path.join(d.root, "copy2", "sources.conf")).read(), "what describes the sources goes along")
tap.same((status, [sorted(row) for row in copied]), (0, [["bytes", "directory", "files"]]), "a backup to audit elsewhere")
tap.ok(d.status("snapshot", data=kept + "2") == 0 and d.row("audit", data=kept + "2")[0].get("digest") == d.row("audit")[0]["digest"], "which is one")
for words, status, why in ((("backup", "copy"), 3, "not empty"), (("backup", "/nowhere/copy"), 3, "no backup was made"), (("backup",), 2, "to where")):
    done = d.raw(*words)
    tap.ok(done.returncode == status and why in done.stderr, f"no backup: {why}", done.stderr)
done = d.raw("backup", "copy3", data=os.path.join(d.root, "nowhere"))
tap.ok(done.returncode == 3 and "not a data directory" in done.stderr and not os.path.exists(kept + "3"), "no backup of nothing", done.stderr)
os.rename(kept + "/journal/blocks", kept + "/journal/gone")
done = d.raw("backup", "copy3", "--no-audit", data=kept)
tap.ok(done.returncode == 3 and "journal" in done.stderr and not os.path.exists(kept + "3/format"), "no backup of what lacks something", done.stderr)
shutil.rmtree(kept + "3", ignore_errors=True)
os.mkdir(kept + "2/order")
done = d.raw("backup", "copy3", data=kept + "2")
tap.ok(done.returncode == 2 and "cluster's node" in done.stderr, "no backup of a cluster's node", done.stderr)

# ---- what does not hold
whole = open(path, "rb").read()
bad = os.path.join(d.root, "bad")
for name, text in (("cut", whole[:-100]), ("flipped", whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1:]), ("longer", whole + b"x"), ("empty", b""), ("other", b"kind,number\n" * 100)):
    d.file("broken", text)
    done = d.raw("init", "--from", "broken", data=bad)
    tap.ok(done.returncode == 3 and "does not hold at byte" in done.stderr and not os.path.exists(bad + "/format"), f"refused: {name}", done.stderr)
done = d.raw("init", "--from", "c", "--digest", audit["log_digest"], data=bad)
tap.ok(done.returncode == 3 and "not the one asked for" in done.stderr, "refused: another digest", done.stderr)
for words in (("--digest", "12"), ("--checkpoint-digest", "g" * 64), ("--rules", "broken")):
    tap.same(d.status("init", "--from", "c", *words, data=bad), 2, "misuse: " + words[0])
tap.same(d.status("init", "--digest", audit["digest"], data=bad), 2, "misuse: a digest of nothing")
tap.same(d.status("init", "--from", "nowhere", data=bad), 2, "misuse: no such file")
tap.same(d.status("init", "--from", "c", data=other), 3, "refused: a directory that is not empty")
tap.same(d.status("init", "--from", "c", data=bad), 0, "and then it is made there")
empty = os.path.join(d.root, "empty")
assert d.status("init", data=empty) == 0
tap.same(d.status("checkpoint", "-o", "c3", data=empty), 3, "nothing to carry")
tap.same((d.status("checkpoint"), d.status("checkpoint", "-o", "/nowhere/c")), (2, 3), "a place for it is needed")
tap.ok(not [name for name in os.listdir(d.root) if name.endswith(".part")], "no half checkpoint is left")
d.close()
tap.end()
