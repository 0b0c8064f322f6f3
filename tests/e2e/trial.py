"""A trial hub for tests (tools/hub), and kanhe --connect as one of its parties."""
import json
import os
import shutil
import subprocess
import tempfile

from kanhe import COMMAND

ROOT = os.environ["KH_SOURCE_ROOT"]


class Trial:
    def __init__(self, *words):
        self.root = tempfile.mkdtemp(prefix="kanhe-trial-")
        self.dir = os.path.join(self.root, "hub")
        self.work = os.path.join(self.root, "work")
        os.mkdir(self.work)
        self.up(*words)

    def tool(self, verb, *words):
        done = subprocess.run([os.path.join(ROOT, "tools", "hub"), verb, self.dir, *words], capture_output=True, text=True, timeout=200,
                              env={**os.environ, "KANHE_BIN": COMMAND, "KANHED_BIN": os.environ["KANHED"]})
        assert done.returncode == 0, done.stderr + done.stdout

    def up(self, *words):
        self.tool("up", *words)
        env = json.load(open(os.path.join(self.dir, "env.json")))
        self.url, self.pid = env["url"], env["pid"]
        self.ca = os.path.join(self.dir, env["ca"])
        self.identities = {p["id"]: (os.path.join(self.dir, p["cert"]), os.path.join(self.dir, p["key"])) for p in env["parties"]}

    def command(self, party, *words, url=None):
        cert, key = self.identities[party]
        return [COMMAND, "--connect", url or self.url, "--ca", self.ca, "--cert", cert, "--key", key, *map(str, words)]

    def raw(self, party, *words, url=None, timeout=100, cwd=None, **more):
        return subprocess.run(self.command(party, *words, url=url), capture_output=True, text=True, timeout=timeout, cwd=cwd or self.work, **more)

    def rows(self, party, *words, **more):
        done = self.raw(party, "--json", *words, **more)
        self.stderr = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    def close(self):
        subprocess.run([os.path.join(ROOT, "tools", "hub"), "down", self.dir], capture_output=True)
        shutil.rmtree(self.root, ignore_errors=True)
