"""What kanhed gives up, seen from outside; keys of root and in a token. As root, it also changes its user."""
import signal
import sys
import time
from hub import *

tap = Tap()
ROOT = os.geteuid() == 0


def status_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def threads_of(pid):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as f:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def works(hub, name):
    status, answer = hub.call(201 if hub.registered else 1, "POST", "/v1/documents?name=d.csv", declarations(50), kind="text/csv")
    client = hub.client(11)
    said = client.apply(7, 1), client.apply(8, 1, "5000.00")
    client.close()
    tap.same((status, said), (200, ((200, "OK"), (200, "INSUFFICIENT"))), name)


hub = Hub(keys='user = "nobody";' if ROOT else "")
hub.registered = True
if ROOT:
    import pwd
    nobody = pwd.getpwnam("nobody")
    hub.start(wait=False)
    hub.process.wait(60)
    tap.ok(hub.process.returncode == 3 and "chown" in hub.said(), "a directory of somebody else is refused, with what to do", hub.said())
    hub.process.stdout.close()
    for folder, _, files in os.walk(hub.data):
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        for file in files:
            os.chown(os.path.join(folder, file), nobody.pw_uid, nobody.pw_gid)
hub.start()
works(hub, "it works without rights")
states = list(threads_of(hub.pid))
if ROOT:
    tap.same({s["Uid"] for s in states}, {"\t".join([str(nobody.pw_uid)] * 4)}, "every thread is the user's")
    tap.ok(all(s["Groups"].split() in ([], [str(nobody.pw_gid)]) for s in states), "no group of root's is left", states[0]["Groups"])
tap.same({(s["CapEff"], s["CapPrm"], s["CapAmb"]) for s in states}, {("0" * 16,) * 3}, "no thread has a capability")
tap.same({s["NoNewPrivs"] for s in states}, {"1"}, "no new privileges")
event = [e for e in hub.events() if e["event"] == "rights_dropped"][-1]
tap.same({s["Seccomp"] for s in states}, {"2"} if event["seccomp"] else {"0"}, f"seccomp is on in all {len(states)} threads")
tap.ok(event["character_sets"] >= 20, "the character sets of files were loaded before", event)
with open(f"/proc/{hub.pid}/limits") as f:
    tap.ok(re.search(r"^Max core file size +0 +0 ", f.read(), re.M), "no core dumps")

# ---- files in other character sets are read behind the filter
text = "海关编号,统一社会信用代码,币种,金额,申报日期,合同号\n" + f"{declaration(900)},{USCC_A},USD,10.00,2026-11-01,合同一号\n"
status, answer = hub.call(201, "POST", "/v1/documents?name=excel.csv&kind=export_declaration", text.encode("gb18030"), kind="text/csv")
tap.ok(status == 200 and answer["results"][-1].get("stored") == 1, "a GB18030 file is read", answer)
status, answer = hub.call(1, "POST", "/v1/snapshot", {})
tap.ok(status == 200, "an image is written", answer)
tap.same(hub.stop(), 0, "it stops well")
hub.kanhe("stats")
hub.close()

if ROOT:
    # ---- an empty directory, and a key of root's alone
    hub = Hub(keys='user = "nobody"; log = "log/kanhed.log";', parties=False)
    os.mkdir(os.path.join(hub.root, "log"))
    os.chown(os.path.join(hub.root, "log"), nobody.pw_uid, nobody.pw_gid)
    hub.start()
    tap.same((os.stat(hub.data).st_uid, os.stat(hub.data + "/secret").st_uid, os.stat(os.path.join(hub.root, "hub.key")).st_uid),
             (nobody.pw_uid, nobody.pw_uid, 0), "an absent directory becomes the user's; the key stays root's")
    tap.same(hub.call(None, "GET", "/ready")[0], 200, "and it serves")
    log = os.path.join(hub.root, "log", "kanhed.log")
    os.rename(log, log + ".1")
    hub.tell(signal.SIGUSR1)
    deadline = time.time() + 60
    while not os.path.exists(log) and time.time() < deadline:
        time.sleep(0.02)
    tap.ok(os.path.exists(log), "the user opens the log again")
    tap.same(hub.stop(), 0, "it stops well")
    hub.close()

# ---- a key in a token
hub = Hub()
hub.registered = True
tokens = os.path.join(hub.root, "tokens")
os.mkdir(tokens)
softhsm = os.path.join(hub.root, "softhsm2.conf")
with open(softhsm, "w") as f:
    f.write(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
pin = os.path.join(hub.root, "pin")
with open(pin, "w") as f:
    f.write("1234")
os.chmod(pin, 0o600)
env = {**os.environ, "SOFTHSM2_CONF": softhsm}
p8 = os.path.join(hub.root, "hub.p8")
openssl("pkcs8", "-topk8", "-nocrypt", "-in", os.path.join(hub.root, "hub.key"), "-out", p8)
for words in (("--init-token", "--free", "--label", "kanhe", "--pin", "1234", "--so-pin", "5678"),
              ("--import", p8, "--token", "kanhe", "--label", "hub", "--id", "01", "--pin", "1234")):
    subprocess.run(["softhsm2-util", *words], env=env, check=True, capture_output=True)
os.remove(os.path.join(hub.root, "hub.key"))
with open(hub.conf) as f:
    text = f.read().replace('key = "hub.key";', f'key = "pkcs11:token=kanhe;object=hub;type=private?pin-source={pin}";')
with open(hub.conf, "w") as f:
    f.write(text)
hub.start(env=env)
works(hub, "the key may be in a token (SoftHSM)")
tap.same(hub.stop(), 0, "it stops well")
tap.ok("1234" not in hub.said() and "pin-source" not in hub.said(), "the PIN is not in the log")
hub.close()
tap.end()
