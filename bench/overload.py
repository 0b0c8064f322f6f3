#!/usr/bin/env python3
"""overload.py BUILD [--quick] [--abuse]: too much work, or bad neighbours. Goodput at ten times what a hub sustains, and how long the regulator
waits meanwhile; with --abuse how long one bank waits while another floods one document, probes numbers, or holds connections that trickle.
All share this machine's processors, so each abuse is measured twice in turn: on the bank's own hub, and on a second hub beside it,
which takes the same from the machine but nothing from the first. One JSON line a figure; loopback has no wire."""
import socket
import ssl
import statistics
import sys
import threading
import time

from trial import QUICK, Trial, figure, papers

ROWS, SECONDS, ROUNDS = 100_000, (1.5, 3)[not QUICK], (3, 5)[not QUICK]
ABUSE_S = (1, 5)[not QUICK]
TIMES = 10
LOAD = "bench_overload"
CLIENTS = (1, 2, 4, 8)


def rate(said):
    return said["done"] / said["seconds"]


class Calls:
    """One caller, and what stands beside it."""

    def __init__(self, trial, party, file):
        self.words = trial, party, file

    def begin(self, seconds=SECONDS):
        trial, party, file = self.words
        return trial.begin(LOAD, "calls", party, seconds, 1, file)


def goodput(name, trial, regulator, peak, begin):
    """Ten times as much beside the regulator, and the load alone at its peak before and after it: what the machine gives changes from second to
    second, so each load is held against the mean of its two neighbours, and the median of these ratios is told."""
    peaks, loads, waits, alone = [rate(peak())], [], [], []
    for _ in range(ROUNDS):
        alone.append(Trial.end(regulator.begin())["p99_ms"])
        load, calls = begin(statistics.median(peaks)), regulator.begin()
        waits.append(Trial.end(calls)["p99_ms"])
        loads.append(Trial.end(load))
        peaks.append(rate(peak()))
    best, at = statistics.median(peaks), statistics.median(map(rate, loads))
    ratios = [rate(load) * 2 / (before + after) for load, before, after in zip(loads, peaks, peaks[1:])]
    figure(f"overload goodput at 10x, {name}", at, "reserves/s", "its peak, before and after", statistics.median(ratios))
    sent = [s["sent"] / s["seconds"] / best for s in loads if s["sent"]]
    if sent:
        figure(f"overload offered, {name}", statistics.median(sent), "times its peak")
    figure(f"overload regulator answers, {name}", statistics.median(waits), "ms p99", "without", statistics.median(waits) / statistics.median(alone))


class Trickle:
    """Connections of one bank that send a byte of a request at a time."""

    def __init__(self, trial, party, count):
        context = ssl.create_default_context(cafile=trial.ca)
        context.load_cert_chain(*trial.identities[party])
        host, port = trial.url.rsplit("/", 1)[1].rsplit(":", 1)
        self.ending, self.open = threading.Event(), []
        for i in range(count):
            s = context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname="localhost")
            head = f"POST /v1/verify?name=q HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n\r\n"
            s.sendall(head.encode() if i % 2 else b"GET /v1/me HTTP/1.1\r\n")
            self.open.append(s)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.ending.wait(0.5):
            for s in self.open:
                try:
                    s.sendall(b"x")
                except OSError:
                    pass

    def end(self):
        self.ending.set()
        self.thread.join()
        for s in self.open:
            s.close()


class Flood:
    def __init__(self, trial, what, callers, file):
        self.child = trial.begin(LOAD, what, 12, ABUSE_S + 1, callers, file)

    def end(self):
        Trial.end(self.child)


def abuse(name, bank, here, elsewhere, begin):
    waits = {"alone": [], "elsewhere": [], "here": []}
    for _ in range(ROUNDS):
        waits["alone"].append(Trial.end(bank.begin(ABUSE_S))["p99_ms"])
        for where, trial in (("elsewhere", elsewhere), ("here", here)):
            bad = begin(trial)
            time.sleep(0.3)
            waits[where].append(Trial.end(bank.begin(ABUSE_S))["p99_ms"])
            bad.end()
    alone, other, own = (statistics.median(waits[k]) for k in ("alone", "elsewhere", "here"))
    figure(f"abuse: {name}, another bank's calls", own, "ms p99", "the same abuse on another hub of this machine", own / other)
    figure(f"abuse: {name}, another bank's calls alone", alone, "ms p99", "with it", own / alone)


def too_much_https(trial, regulator):
    tried = {n: [] for n in CLIENTS}
    for _ in range(ROUNDS):
        for n in CLIENTS:
            tried[n].append(rate(trial.load(LOAD, "reserves", 12, SECONDS / 2, n)))
    best = max(CLIENTS, key=lambda n: statistics.median(tried[n]))
    goodput("HTTPS", trial, regulator, lambda: trial.load(LOAD, "reserves", 12, SECONDS, best),
            lambda _: trial.begin(LOAD, "reserves", 12, SECONDS + 1, TIMES * best))


def too_much_datagrams(trial, regulator):
    goodput("datagrams", trial, regulator, lambda: trial.load(LOAD, "datagrams", 12, SECONDS, 0),
            lambda peak: trial.begin(LOAD, "datagrams", 12, SECONDS + 1, int(TIMES * peak)))


def bad_neighbours(trial, elsewhere, bank, one):
    unknown = papers(trial.work, "unknown.csv", 100, 310120269_900000000)
    abuse("one document flooded", bank, trial, elsewhere, lambda hub: Flood(hub, "document", 8, one))
    abuse("numbers probed", bank, trial, elsewhere, lambda hub: Flood(hub, "probe", 8, unknown))
    abuse("200 trickling connections", bank, trial, elsewhere, lambda hub: Trickle(hub, 12, 200))


def with_hubs(count, do):
    """do(trials, a file of one paper): so many hubs, each with all papers."""
    trials = []
    try:
        for _ in range(count):
            trials.append(Trial())
            trials[-1].open_ended()
            trials[-1].command(1, "import", papers(trials[0].work, "all.csv", ROWS))
        do(trials, papers(trials[0].work, "one.csv", 1))
    finally:
        for trial in trials:
            trial.close()


def main():
    if "--abuse" in sys.argv:
        with_hubs(2, lambda trials, one: bad_neighbours(*trials, Calls(trials[0], 11, one), one))
        return 0
    for too_much in (too_much_https, too_much_datagrams):  # a hub each: neither meets what the other left
        with_hubs(1, lambda trials, one, do=too_much: do(trials[0], Calls(trials[0], 1, one)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
