"""What the end-to-end scripts share: a data directory, the built command, and TAP."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

COMMAND = os.environ["KANHE"]
USCC_A, USCC_B = "91350211M000100Y46", "91350100M0001TGQXM"
HEADER = "kind,number,owner_id,currency,amount,date\n"


class Tap:
    """What was checked, a line each; tests check from several threads."""

    def __init__(self):
        self.count = 0
        self.failed = 0
        self.lock = threading.Lock()

    def ok(self, condition, name, more=None):
        with self.lock:
            self.count += 1
            self.failed += not condition
            lines = [f"{'ok' if condition else 'not ok'} {self.count} - {name}"]
            if not condition and more is not None:
                lines += [f"# {line}" for line in str(more).splitlines()]
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()
        return condition

    def same(self, got, wanted, name):
        return self.ok(got == wanted, name, f"got    {got!r}\nwanted {wanted!r}")

    def end(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


class Directory:
    """A fresh data directory with a regulator, two banks, two enterprises and a customs source."""

    def __init__(self, init=True, parties=True):
        self.root = tempfile.mkdtemp(prefix="kanhe-e2e-")
        self.data = os.path.join(self.root, "data")
        if init:
            assert self.status("init") == 0
        if init and parties:
            for id_, role, name, uscc in (
                (1, "regulator", "Regulator", None),
                (11, "bank", "Bank A", None),
                (12, "bank", "Bank B", None),
                (101, "enterprise", "Exporter", USCC_A),
                (102, "enterprise", "Importer", USCC_B),
                (201, "source", "customs", None),
            ):
                more = ["--uscc", uscc] if uscc else []
                assert self.status("party", "add", "--id", id_, "--role", role, "--name", name, *more) == 0

    def raw(self, *words, data=None, timeout=120, **more):
        command = [COMMAND, "--data", data or self.data, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=self.root, **more)

    def status(self, *words, **more):
        return self.raw(*words, **more).returncode

    def rows(self, *words, **more):
        """The objects of --json and the exit status."""
        done = self.raw("--json", *words, **more)
        self.stderr = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    def row(self, *words, **more):
        rows, status = self.rows(*words, **more)
        return (rows[0] if rows else {}), status

    def file(self, name, text):
        path = os.path.join(self.root, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def apply(self, bank, id_, amount, *documents, currency="USD", enterprise=101, more=()):
        docs = [word for d in documents for word in ("--doc", d)]
        return self.row("finance", "apply", "--as", bank, "--id", id_, "--enterprise", enterprise, "--product", "export_receivable",
                        "--amount", amount, "--currency", currency, *docs, *more)

    def event(self, event, bank, id_, *more):
        return self.row("finance", event, id_, "--as", bank, *more)

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)


def declaration(serial, direction=0):
    return f"31012026{direction}{serial:09d}"


def pick(row, *keys):
    return {key: row.get(key) for key in keys}
