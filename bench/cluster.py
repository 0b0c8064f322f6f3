#!/usr/bin/env python3
"""cluster.py BUILD [--quick] [--beside|--away]: a cluster as its banks meet it: 4 validators and 1 hub that share this machine, over loopback, each
on the same disk. An application counts when its receipt has come: agreed by the validators, durable, executed by the hub and attested.
Rates and latencies, and CometBFT's own key-value store on the same cluster; with --beside a hub's look-ups beside half load, with --away
a node that dies under it and catches up. One JSON line a figure; loopback has no wire, and says nothing of one."""
import http.client
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from trial import BUILD, ENVIRONMENT, KANHE, QUICK, ROOT, papers
from trial import figure as tell

LABEL = "4 validators and 1 hub sharing this machine"
ROWS, SECONDS, BANKS = 100_000, (5, 15)[not QUICK], (11, 12, 13, 14)
LOADS = ((256, 16), (1024, 8)) if QUICK else ((256, 16), (1024, 4), (1024, 8), (1024, 16))  # applications a batch, batches of a bank under way
# At half load: what is due is sent, whatever is under way. Of 16 a bank there were too few at times: then the next wait for answers
# before they are sent, and what was half of the peak is all that so few can have, with a queue that grows.
HALF = (256, 32)
KEYS_LANES = 4
PREPARED = 4_000_000 if QUICK else 16_000_000  # financings
LOAD = os.path.join(BUILD, "bench", "bench_cluster")
TICK = os.sysconf("SC_CLK_TCK")
RPC = 26657


def figure(name, value, unit, against=LABEL, ratio=None):
    tell(name, value, unit, against, ratio)


def cpu_s(pid):
    try:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / TICK


class Town:
    """A cluster under $KH_BENCH_DIR or /var/tmp; gone with `close`."""

    def __init__(self, *more):
        self.work = tempfile.mkdtemp(prefix="kanhe-cluster-", dir=os.environ.get("KH_BENCH_DIR", "/var/tmp"))
        self.dir = os.path.join(self.work, "town")
        self.tool("up", *more)
        if not more:  # the hub's memory is ready beforehand (prepare_financings)
            self.tool("down")
            with open(os.path.join(self.dir, "nodes/hub1/node.conf"), "a") as f:
                f.write(f"prepare_financings = {PREPARED};\n")
            self.tool("up")
        env = json.load(open(os.path.join(self.dir, "env.json")))
        self.url, self.ca = env["url"], os.path.join(self.dir, env["ca"])
        self.nodes = {n["name"]: n for n in env["nodes"]}
        self.identities = {p["id"]: (os.path.join(self.dir, p["cert"]), os.path.join(self.dir, p["key"])) for p in env["parties"]}

    def tool(self, verb, *words):
        tools = {f"KANHE_{name.upper()}_BIN": os.path.join(BUILD, f"tools/kanhe-{name}") for name in ("key", "leaf", "opening")}
        done = subprocess.run([os.path.join(ROOT, "tools", "cluster"), verb, self.dir, *words], env={**ENVIRONMENT, **tools}, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"cluster {verb}: {done.stderr}")

    def close(self):
        self.tool("down")
        shutil.rmtree(self.work, ignore_errors=True)

    def pids(self, name):
        return json.load(open(os.path.join(self.dir, self.nodes[name]["home"], "status.json")))["pids"]

    def host(self, name):
        return self.nodes[name]["url"].removeprefix("https://").rpartition(":")[0]

    def rpc(self, name, path):
        connection = http.client.HTTPConnection(self.host(name), RPC, timeout=5)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())["result"]
        finally:
            connection.close()

    def height(self, name):
        """Of its newest block; 0 where it does not answer."""
        try:
            return int(self.rpc(name, "/status")["sync_info"]["latest_block_height"])
        except (OSError, ValueError, KeyError, http.client.HTTPException):
            return 0

    def metrics(self, name):
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(*self.identities[1])
        host, _, port = self.nodes[name]["url"].removeprefix("https://").rpartition(":")
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=20)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        return {w[0]: float(w[1]) for w in (line.split() for line in lines if line and line[0] != "#") if len(w) == 2}

    def bring(self):
        """The documents, by the customs' own party at the hub."""
        cert, key = self.identities[201]
        words = [KANHE, "--connect", self.url, "--ca", self.ca, "--cert", cert, "--key", key, "import", papers(self.work, "all.csv", ROWS)]
        done = subprocess.run(words, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"import: {done.stderr}")

    def begin(self, what, party, seconds, *more, url=None):
        words = [LOAD, what, url or self.nodes[f"bank{party}"]["url"], self.ca, *self.identities[party], str(seconds), *map(str, more)]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def load(self, seconds, batch, lanes, rate=0, banks=BANKS):
        """All banks at once; rate: of all of them."""
        return Load([self.begin("reserves", bank, seconds, batch, lanes, rate / len(banks)) for bank in banks])


def ended(child):
    out, err = child.communicate()
    if child.returncode:
        sys.exit(f"load: {err}")
    if err:
        print(f"load: {err.strip()}", file=sys.stderr)
    return json.loads(out.splitlines()[-1])


class Load:
    def __init__(self, children):
        self.children = children

    def end(self):
        self.said = [ended(child) for child in self.children]
        refused = sum(s["refused"] for s in self.said)
        if refused:
            print(f"load: {refused} applications refused", file=sys.stderr)
        return self

    def rate(self):
        return sum(s["done"] / s["seconds"] for s in self.said)

    def worst(self, what):
        return max(s[what] for s in self.said)


class Meter:
    """What the processes, the cluster's counters and its chain did between two looks."""

    def __init__(self, town):
        self.town, self.before = town, None
        self.before = self.look()

    def look(self):
        used = {}
        for name, node in self.town.nodes.items():
            for program, pid in self.town.pids(name).items():
                kind = f"{program}, {'hub' if node['role'] == 'hub' else 'banks'}"
                used[kind] = used.get(kind, 0) + cpu_s(pid)
        counts = [self.town.metrics(name) for name in self.town.nodes]
        return {"at": time.monotonic(), "cpu": used, "height": self.town.height("hub1"),
                "certificates": sum(c["kanhe_cluster_certificates_total"] for c in counts)}

    def since(self):
        now, was = self.look(), self.before
        took = now["at"] - was["at"]
        return {"cpu": {kind: (s - was["cpu"].get(kind, 0)) / took for kind, s in now["cpu"].items()},
                "blocks": (now["height"] - was["height"]) / took, "certificates": (now["certificates"] - was["certificates"]) / took}


# ---- the figures ----

def agreed(town):
    """The best of several loads; returns its rate, batch and batches under way."""
    rates = {}
    for size, lanes in LOADS:
        load = town.load(SECONDS, size, lanes)
        time.sleep(1)  # while all of them are under way
        meter = Meter(town)
        time.sleep(SECONDS - 2)
        seen = meter.since()
        rates[size, lanes] = load.end().rate(), seen, load
    best = max(rates, key=lambda load: rates[load][0])
    rate, seen, load = rates[best]
    figure("cluster agreed reserves, batches", rate, "applications/s", f"{LABEL}; 4 banks, {best[1]} batches of {best[0]} under way each")
    for (size, lanes), (reached, _, _) in rates.items():
        figure(f"cluster agreed reserves, {lanes} batches of {size} a bank", reached, "applications/s")
    figure("cluster submit to final receipt at full load, p50", statistics.median(s["p50_ms"] for s in load.said), "ms")
    figure("cluster certificates at full load", seen["certificates"], "1/s", f"{LABEL}; by all senders")
    figure("cluster applications a certificate", rate / max(seen["certificates"], 1e-9), "")
    figure("cluster blocks at full load", seen["blocks"], "1/s")
    for kind, cores in sorted(seen["cpu"].items()):
        figure(f"cluster processor time at full load: {kind}", cores, "cores", f"{LABEL}; of {os.cpu_count()}")
    return rate, *best


def latency(town, peak, size, lanes):
    """In small batches, which cost more; and in those that had the peak."""
    as_peak = (size, min(2 * lanes, ROWS // len(BANKS) // size))
    for shape, what in ((HALF, "at half load"), (as_peak, "at half load in the peak's batches")):
        load, of = town.load(SECONDS, *shape, peak / 2).end(), f"{LABEL}; batches of {shape[0]}"
        figure(f"cluster reached {what}", load.rate(), "applications/s", f"{of}; offered", load.rate() / (peak / 2))
        figure(f"cluster submit to final receipt {what}, p50", statistics.median(s["p50_ms"] for s in load.said), "ms", of)
        figure(f"cluster submit to final receipt {what}, p99", load.worst("p99_ms"), "ms", f"{of}; the worst bank's")
    alone = town.load(SECONDS, 1, 4, 5, BANKS[:1]).end()
    figure("cluster one operation unloaded, p50", alone.worst("p50_ms"), "ms")
    figure("cluster one operation unloaded, p99", alone.worst("p99_ms"), "ms")


def killed(town, peak):
    """One bank's node dies under half load, comes back, and catches up."""
    quiet = town.load(SECONDS, *HALF, peak / 2, BANKS[:3]).end()
    away = (25, 60)[not QUICK]
    load = town.load(away + (10, 20)[not QUICK], *HALF, peak / 2, BANKS[:3])
    time.sleep(2)
    town.tool("kill", "bank14")
    missed, at = town.height("hub1"), time.monotonic()
    time.sleep(away)
    pace = (town.height("hub1") - missed) / (time.monotonic() - at)
    began = time.monotonic()
    starting = threading.Thread(target=town.tool, args=("start", "bank14"))
    starting.start()
    seen = []
    while time.monotonic() - began < 60:
        here, there = town.height("bank14"), town.height("hub1")
        if here:
            seen.append((time.monotonic(), here))
        if here and there - here <= 2:
            break
        time.sleep(0.05)
    starting.join()
    load.end()
    figure("cluster a node killed: longest time without a receipt, other banks", load.worst("gap_s"), "s", f"{LABEL}; without", load.worst("gap_s") / quiet.worst("gap_s"))
    still = [look for look in seen if look[1] == seen[0][1]]  # CometBFT asks for no block in its first 3 s
    if len(still) < len(seen):
        fast = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - still[-1][0])
        figure("cluster catching up", fast, "blocks/s", f"{LABEL}; {away} s away, from the first block that it takes; the cluster's pace meanwhile", fast / pace)
    caught = seen and town.height("hub1") - town.height("bank14") <= 5
    figure("cluster catching up, from the start of its processes", (seen[-1][0] if caught else time.monotonic()) - began, "s", f"{LABEL}; {away} s away{'' if caught else '; not yet'}")


def pollers_s(pid):
    """Processor seconds of the threads that answer datagrams."""
    used = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        if open(f"/proc/{pid}/task/{task}/comm").read().startswith("kh-poller"):
            used += cpu_s(f"{pid}/task/{task}")
    return used


def lookups(town, peak):
    """Of the hub, undisturbed and while the cluster agrees at half load, in turn; per second of processor time of the hub's pollers."""
    pid, rates, cores = town.pids("hub1")["kanhed"], {False: [], True: []}, {False: [], True: []}
    for _ in range((1, 3)[not QUICK]):
        for busy in (False, True):
            load = town.load(SECONDS + 2, *HALF, peak / 2) if busy else None
            time.sleep(1 if busy else 0)
            before = pollers_s(pid)
            said = ended(town.begin("lookups", 1, SECONDS * 0.8, url=town.url))
            used = pollers_s(pid) - before
            rates[busy].append(said["done"] / said["seconds"])
            cores[busy].append(said["done"] / max(used, 1 / TICK))
            if load:
                load.end()
    alone, beside = (statistics.median(cores[busy]) for busy in (False, True))
    figure("cluster look-ups per core at half load", beside, "1/s", f"{LABEL}; a second of the hub's pollers' processor time; undisturbed", beside / alone)
    alone, beside = (statistics.median(rates[busy]) for busy in (False, True))
    figure("cluster look-ups at half load", beside, "1/s", f"{LABEL}; all on {os.cpu_count()} cores, the asking client too; undisturbed", beside / alone)


def keys_s(town, how):
    """Transactions that CometBFT's key-value store has in blocks, a second."""
    seconds, first = SECONDS, town.height("hub1")
    children = [subprocess.Popen([LOAD, "kvstore", town.host(f"bank{bank}"), str(RPC), str(seconds), str(KEYS_LANES), how], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True) for bank in BANKS]
    time.sleep(seconds)
    last = town.height("hub1")
    for child in children:
        ended(child)
    count = 0
    for low in range(first + 1, last + 1, 20):
        metas = town.rpc("hub1", f"/blockchain?minHeight={low}&maxHeight={min(low + 19, last)}")["block_metas"]
        count += sum(int(meta["num_txs"]) for meta in metas)
    return count / seconds


def rates_and_latencies(town, theirs):
    peak, size, lanes = agreed(town)
    figure("CometBFT's own kvstore on the same cluster", theirs, "transactions/s", f"{LABEL}; flood mempool, ten a call, 16 callers")
    figure("cluster agreed reserves against CometBFT's kvstore", peak, "applications/s", f"{LABEL}; kvstore's transactions/s", peak / theirs)
    latency(town, peak, size, lanes)


def main():
    towns = []
    try:
        for word, what in (("--beside", lookups), ("--away", killed)):
            if word in sys.argv:
                towns.append(Town())
                towns[0].bring()
                what(towns[0], towns[0].load(SECONDS, *LOADS[-1]).end().rate())
                return 0
        towns.append(Town("--kvstore"))
        theirs = max(keys_s(towns[0], how) for how in ("sync", "async"))
        towns.pop().close()
        towns.append(Town())
        towns[0].bring()
        rates_and_latencies(towns[0], theirs)
    finally:
        for town in towns:
            town.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
