"""tools/hub: up makes all that a trial needs and says it in env.json; down leaves no process; up again goes on, after a SIGKILL too."""
import signal
import socket
import time
from hub import *

ROOT = os.environ["KH_SOURCE_ROOT"]
tap = Tap()
root = tempfile.mkdtemp(prefix="kanhe-trial-")
where = os.path.join(root, "a hub")
os.environ.update(KANHE_BIN=COMMAND, KANHED_BIN=KANHED)


def tool(*words):
    done = subprocess.run([os.path.join(ROOT, "tools", "hub"), *words], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def env():
    with open(os.path.join(where, "env.json"), encoding="utf-8") as f:
        return json.load(f)


def kanhe(party, *words):
    e = env()
    pair = next((p["cert"], p["key"]) for p in e["parties"] if p["id"] == party)
    return subprocess.run([COMMAND, "--connect", e["url"], "--ca", os.path.join(where, e["ca"]), "--cert", os.path.join(where, pair[0]), "--key", os.path.join(where, pair[1]), "--json", *words],
                          capture_output=True, text=True, timeout=60)


def gone(pid):
    for _ in range(500):
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


try:
    tap.same(tool()[0], 2, "without words: its usage")
    tap.same(tool("up", where, "--banks", "many")[0], 2, "a number of banks that is none")
    status, said = tool("up", where, "--banks", "3")
    if not tap.same(status, 0, "up"):
        print("# " + said.replace("\n", "\n# "))
        tap.end()
    e = env()
    tap.same(sorted(e), sorted(["url", "ca", "ca_key", "pid", "metrics", "parties"]), "env.json has its keys")
    tap.same([(p["id"], p["role"]) for p in e["parties"]],
             [(1, "regulator"), (11, "bank"), (12, "bank"), (13, "bank"), (101, "enterprise"), (102, "enterprise"), (103, "enterprise"), (201, "source")], "the parties")
    tap.ok(e["url"].startswith("https://127.0.0.1:") and e["metrics"] == e["url"] + "/metrics", "API and metrics behind one address")
    tap.ok(all(os.path.exists(os.path.join(where, p[k])) for p in e["parties"] for k in ("cert", "key")) and os.path.exists(os.path.join(where, e["ca_key"])), "paths are relative to DIR")
    tap.same([os.stat(os.path.join(where, name)).st_mode & 0o77 for name in (e["ca_key"], "hub.key", e["parties"][0]["key"], ".")], [0] * 4, "keys are nobody else's to read")
    tap.same(os.path.realpath(f"/proc/{e['pid']}/exe"), os.path.realpath(KANHED), "pid is the daemon itself")
    tap.same(json.loads(kanhe(1, "party", "list").stdout.splitlines()[1]), {"id": 11, "role": "bank", "name": "Bank A", "uscc": None, "status": "active"}, "the command works with what env.json says")
    with open(os.path.join(root, "d.csv"), "w") as f:
        f.write(declarations(3))
    tap.same(kanhe(201, "import", os.path.join(root, "d.csv")).returncode, 0, "the source imports")
    for party in (201, 11):  # as of a cluster's parties, beside their keys
        with open(os.path.join(where, f"parties/{party}.sign"), "w") as f:
            f.write("01" * 32 + "\n")
    sign = os.path.join(where, "parties/201.sign")
    os.chmod(sign, 0o600)
    done = [kanhe(201, "import", os.path.join(root, "d.csv"), *more) for more in ((), ("--sign", sign))]
    tap.same([d.returncode for d in done], [0, 2], "a key to sign with that was only found is left out at a hub of no cluster; one that was named is misuse")
    tap.same(tool("up", where)[0], 0, "up where it is up: nothing to do")
    tap.same(env()["pid"], e["pid"], "and the same daemon")
    os.kill(e["pid"], signal.SIGKILL)
    tap.ok(gone(e["pid"]), "killed")
    tap.same(tool("up", where, "--banks", "4")[0], 0, "up after a SIGKILL, with one bank more")
    tap.same(env()["url"], e["url"], "at the address that it had")
    tap.ok(env()["pid"] != e["pid"] and len(env()["parties"]) == len(e["parties"]) + 1, "a new daemon, a new party")
    tap.same(json.loads(kanhe(14, "verify", os.path.join(root, "d.csv")).stdout.splitlines()[0])["name"], "OK", "its data is there, for the new bank too")
    tap.same(tool("cert", where, "999", "bank", "stranger")[0], 0, "a certificate for nobody")
    pid = env()["pid"]
    tap.same(tool("down", where)[0], 0, "down")
    tap.ok(gone(pid), "leaves no process")
    tap.same(tool("down", where)[0], 0, "down where it is down")
    port = int(e["url"].rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        status, said = tool("up", where)
        moved = env()["url"]
        tap.ok(status == 0 and moved != e["url"] and f"another program has tcp port {port}" in said, "where another program has its port, up takes another one and says so", said)
        tap.same(kanhe(11, "party", "list").returncode, 0, "and serves there")
    tap.same([tool("down", where)[0], tool("up", where)[0], env()["url"]], [0, 0, moved], "which it keeps, too")
finally:
    tool("down", where)
    shutil.rmtree(root, ignore_errors=True)
tap.end()
