"""Clients that lose answers at random and send again what they have no answer to end where clients without losses end.

Between them and the hub stands a proxy of ours that cuts connections at random places; the processes themselves are killed at random, too.
SEED in the environment repeats a run."""
import json
import random
import select
import signal
import socket
import threading
import time
from kanhe import *
from trial import Trial

tap = Tap()
seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
print(f"# SEED={seed}", flush=True)
CLIENTS, FINANCINGS = 4, 100


class Proxy:
    """Passes bytes to and fro; of three connections two are limited to a random number of them in either direction, and most of those are cut."""

    def __init__(self, url):
        self.to = int(url.rsplit(":", 1)[1])
        self.random = random.Random(seed)
        self.cut = self.passed = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            # up: handshake and request take about 3,000 bytes and more; down: about 1,500, then the answer
            limit = [self.random.randrange(1500, 5000), self.random.randrange(500, 4000)] if self.random.random() < 0.67 else [1 << 40, 1 << 40]
            threading.Thread(target=self._pass, args=(here, limit), daemon=True).start()

    def _pass(self, here, limit):
        try:
            with here, socket.create_connection(("127.0.0.1", self.to)) as there:
                while True:
                    for s in select.select([here, there], [], [])[0]:
                        way = 0 if s is here else 1
                        data = s.recv(min(65536, limit[way]) or 1)
                        limit[way] -= len(data)
                        if not data or limit[way] <= 0:
                            if data:
                                self.cut += 1
                            else:
                                self.passed += 1
                            return
                        (there if s is here else here).sendall(data)
        except OSError:
            pass


def work(trial, which, url, losses, problems):
    """One client's whole business; every command is sent again until it is answered."""
    rng = random.Random(seed * 100 + which)
    bank = 11 + which % 2
    folder = os.path.join(trial.work, str(which))
    os.makedirs(folder, exist_ok=True)

    def until_answered(*words):
        for attempt in range(200):
            child = subprocess.Popen(trial.command(bank, "--timeout", "5", "--json", *words, url=url), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
            if losses and rng.random() < 0.15:
                time.sleep(rng.random() * 0.08)
                child.send_signal(signal.SIGKILL)
            out, err = child.communicate(timeout=60)
            if child.returncode in (0, 1):
                return
            if child.returncode not in (3, -9) or not losses:
                problems.append((words, child.returncode, err))
                return
        problems.append((words, "never answered"))

    base = (which + 1) * 1000
    with open(os.path.join(folder, "r.csv"), "w") as f:
        f.write("id,enterprise,product,amount,currency,kind,number\n")
        f.writelines(f"{base + i},101,export_receivable,{10 + i}.00,USD,export_declaration,{declaration(base + i // 3)}\n" for i in range(FINANCINGS))
    with open(os.path.join(folder, "e.csv"), "w") as f:
        f.write("id,event,amount,source,reason,expect\n")
        for i in range(FINANCINGS // 2):
            f.write(f"{base + i},accept,,,,1\n{base + i},approve,,,,2\n" + (f"{base + i},disburse,5.00,,,3\n{base + i},repay,2.00,own-funds,,4\n" if i % 2 else f"{base + i},reject,,,other,3\n"))
    until_answered("finance", "apply", "--file", "r.csv")
    until_answered("finance", "events", "--file", "e.csv")
    for i in range(6):
        n = base + 500 + i
        until_answered("finance", "apply", "--id", n, "--enterprise", "101", "--product", "export_receivable", "--amount", "7.00", "--currency", "USD",
                       "--doc", "export_declaration:" + declaration(base + 10 + i))
        until_answered("finance", "accept", n, "--expect", 1)


def run(losses):
    trial = Trial()
    proxy = Proxy(trial.url) if losses else None
    try:
        path = os.path.join(trial.work, "d.csv")
        with open(path, "w") as f:
            f.write(HEADER)
            f.writelines(f"export_declaration,{declaration((w + 1) * 1000 + i)},{USCC_A},USD,1000.00,2026-11-01\n" for w in range(CLIENTS) for i in range(40))
        assert trial.rows(1, "import", path)[1] == 0, trial.stderr
        problems = []
        threads = [threading.Thread(target=work, args=(trial, w, proxy.url if losses else None, losses, problems)) for w in range(CLIENTS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        rows, status = trial.rows(1, "audit")
        financings, _ = trial.rows(1, "finance", "list")
        return {"problems": problems, "audit": rows[0]["ok"], "digest": rows[0]["content_digest"], "financings": len(financings), "cut": proxy.cut if losses else 0}
    finally:
        trial.close()


calm, stormy = run(False), run(True)
tap.same(calm["problems"], [], "without losses every command is answered")
tap.same(stormy["problems"], [], "with losses every command is answered in the end")
tap.ok(stormy["cut"] > 3, "connections were cut", stormy["cut"])
tap.ok(calm["audit"] and stormy["audit"], "both logs are proven")
tap.same(stormy["financings"], calm["financings"], "nothing was done twice, nothing is missing")
tap.same(stormy["digest"], calm["digest"], "the same content digest")
tap.end()
