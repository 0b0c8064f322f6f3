"""campaign: a cluster, its load and its faults for so many minutes; then healing, evidence, the checker's word."""
import faulthandler
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import evidence
from check import check
from faults import Full, hands
from load import Load
from town import Town, Trouble

DOCUMENTS, HOT, BRING_EVERY_S = 150, 120, 6  # to begin with; that are fought for, the newest; seconds between customs' files
HEAL_S, ANSWER_S, SILENT_S, SHOWN = 300, 240, 180, 25


class Campaign:
    def __init__(self, given):
        self.given, self.seed, self.minutes = given, given.seed, given.minutes
        self.rnd, self.lock, self.began = random.Random(f"{given.seed} campaign"), threading.Lock(), time.monotonic()
        self.busy, self.wrong, self.town, self.workers = set(), [], None, []

    # ---- what hands and clients share

    def say(self, text):
        with self.lock:
            print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def failed(self, text):
        self.wrong.append(text)
        self.say("WRONG: " + text)

    def take(self, rnd, nodes):
        """A node that no other hand has."""
        with self.lock:
            free = [node for node in nodes if node.name not in self.busy]
            if not free:
                return None
            node = rnd.choice(free)
            self.busy.add(node.name)
            return node

    def release(self, node):
        with self.lock:
            self.busy.discard(node.name)

    # ---- the course of it

    def command(self):
        g = self.given
        more = (" --netns" if g.netns else "") + (f" --suite {g.suite}" if g.suite != "intl" else "") + (f" --lanes {g.lanes}" if g.lanes != 3 else "")
        return f"tools/chaos --minutes {self.minutes:g} --seed {self.seed} --banks {g.banks} --hubs {g.hubs}{more}"

    def run(self):
        print(f"chaos: seed {self.seed}: {self.command()}", flush=True)
        faulthandler.register(signal.SIGUSR1)  # where do its threads stand?
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))  # the cluster goes, too
        folder = self.given.keep and os.path.realpath(self.given.keep) or tempfile.mkdtemp(prefix="kanhe-chaos-")
        os.makedirs(folder, exist_ok=True)
        if os.listdir(folder):
            raise Trouble(f"{folder} is not empty")
        table = []
        try:
            self.town = Town(folder, self.given.banks, self.given.hubs, self.given.suite, self.given.netns)
            self.say(f"the cluster serves: {', '.join(node.name for node in self.town.nodes)}; f = {self.town.faults}")
            table = self.course(folder)
        except (Trouble, OSError) as trouble:
            self.failed(str(trouble))
        finally:
            if self.town is not None:
                for worker in self.workers:
                    worker.ending.set()
                for worker in self.workers:
                    worker.join(HEAL_S if worker.is_alive() else 0)
                self.resume()
                self.town.down()
                Full.restore_all()
        return self.end(folder, table)

    def course(self, folder):
        load = Load(self.town, self.seed, os.path.join(folder, "history"), self.given.lanes, DOCUMENTS, HOT, BRING_EVERY_S)
        workers, unlucky, left_out = hands(self)
        self.say(f"{len(load.clients) - 1} clients of {len(self.town.banks)} banks; bodies are lost by {', '.join(unlucky) or 'nobody'}; left out: {'; '.join(left_out) or 'nothing'}")
        self.workers = workers
        for worker in workers:
            worker.start()
        until, told_before = time.monotonic() + 60 * self.minutes, 0
        while time.monotonic() < until and not self.wrong:
            time.sleep(min(10, max(0.1, until - time.monotonic())))
            told, sent = load.counts()
            self.say(f"{sent} operations sent, {told} answered (+{told - told_before})")
            told_before = told
            self.look_for_silence(load)
        self.heal(workers)
        self.say("healed; what has no answer is sent until it has one")
        load.end(ANSWER_S)
        said = evidence.gather(self.town, load, self.seed, folder, self.say)
        with open(os.path.join(folder, "evidence.json"), "w") as f:
            json.dump(said, f)
        found, table = check(said)
        for text in found:
            self.wrong.append(text)
        kinds = {}
        for worker in workers:
            for name, count in worker.counts.items():
                kinds[name] = kinds.get(name, 0) + count
        return [(f"fault: {name}", count) for name, count in sorted(kinds.items())] + \
               [("slowest return of a node, s", round(max((worker.slowest for worker in workers), default=0), 1))] + table

    def look_for_silence(self, load):
        """With at most f faulty somebody is always served; the same client is not silent for ever."""
        silent = time.monotonic() - max(client.last_answer for client in load.clients)
        if silent > SILENT_S:
            self.failed(f"nobody was answered for {silent:.0f} s")

    def heal(self, workers):
        for worker in workers:
            worker.ending.set()
        for worker in workers:
            worker.join(HEAL_S)
            if worker.is_alive():
                self.failed(f"{worker.name} does not end")

    def resume(self):
        """Nothing stays stopped, whatever happened."""
        for node in self.town.nodes:
            for pid in node.pids().values():
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    pass

    def end(self, folder, table):
        width = max((len(name) for name, _ in table), default=0)
        for name, value in table:
            print(f"  {name:{width}}  {value}")
        if not self.wrong:
            print(f"chaos: clean: {self.command()}")
            if not self.given.keep:
                shutil.rmtree(folder)
            return 0
        with open(os.path.join(folder, "wrong"), "w") as f:
            f.write("\n".join(self.wrong) + "\n")
        for text in self.wrong[:SHOWN]:
            print(f"WRONG: {text[:1000]}")
        print(f"chaos: {len(self.wrong)} things are wrong; all of it is in {folder} (wrong, evidence.json, history/, town/nodes/*/*.log); again:\n  {self.command()}")
        sys.stdout.flush()
        return 1
