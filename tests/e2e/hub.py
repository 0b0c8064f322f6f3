"""What the scripts about kanhed share: a certificate authority, a configuration, the daemon, and calls over mutual TLS."""
import http.client
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from kanhe import *

KANHED = os.environ["KANHED"]
EVERYWHERE = os.environ.get("KANHED_KEYS", "")  # for every configuration: builds with sanitizers need sandbox = false;
HUB_PARTIES = ((1, "regulator", "Regulator", None), (11, "bank", "Bank A", None), (12, "bank", "Bank B", None),
               (101, "enterprise", "Exporter", USCC_A), (102, "enterprise", "Importer", USCC_B), (201, "source", "customs", None))
ACCESS_JSON = {"Accept": "application/json"}


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def free_port(kind):
    """For who wants the same port after a restart: below those that the kernel gives to anybody."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        least = int(f.read().split()[0])
    for port in random.sample(range(10000, least), 100):
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


class Authority:
    """A certificate authority in a folder: ca.pem, the hub's certificate, and one for each party that is asked for."""

    def __init__(self, root, name="ca"):
        self.root = root
        self.ca, self.ca_key = self.path(f"{name}.pem"), self.path(f"{name}.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.ca_key, "-out", self.ca,
                "-days", 30, "-subj", f"/CN=Kanhe test authority {name}")
        self.made, self.lock = {}, threading.Lock()

    def path(self, name):
        return os.path.join(self.root, name)

    def sign(self, name, subject, extensions=""):
        cert, key, request = (self.path(f"{name}.{end}") for end in ("pem", "key", "csr"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", request, "-subj", subject)
        self.sign_request(request, cert, extensions)
        os.chmod(key, 0o600)
        return cert, key

    def sign_request(self, request, cert, extensions=""):
        more = []
        if extensions:
            with open(request + ".ext", "w") as f:
                f.write(extensions + "\n")
            more = ["-extfile", request + ".ext"]
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.ca_key, "-CAcreateserial", "-out", cert, "-days", 30, *more)

    def party(self, id_, role):
        with self.lock:
            if id_ not in self.made:
                self.made[id_] = self.sign(f"party-{id_}", f"/O=Kanhe/OU={role}/CN={id_}")
            return self.made[id_]


class Hub:
    """kanhed on loopback. keys: lines that are added to its configuration; what is in `without` is left out of it."""

    def __init__(self, keys="", data=None, parties=True, without=(), limits='probe_limit = "10000/100"; address_limit = "off";'):
        self.root = tempfile.mkdtemp(prefix="kanhed-e2e-")
        os.chmod(self.root, 0o755)
        self.authority = Authority(self.root)
        self.authority.sign("hub", "/O=Kanhe/CN=hub", "subjectAltName=IP:127.0.0.1,DNS:localhost")
        self.data = data or os.path.join(self.root, "data")
        self.conf = os.path.join(self.root, "hub.conf")
        self.process, self.program = None, KANHED
        lines = {"data": f'data = "{self.data}";', "listen": 'listen = "127.0.0.1:0";', "ca": 'ca = "ca.pem";', "certificate": 'certificate = "hub.pem";',
                 "key": 'key = "hub.key";', "datagrams": 'datagrams = { listen = "127.0.0.1:0"; };', "limits": "limits = { %s };" % limits}
        with open(self.conf, "w") as f:
            f.write("\n".join([line for name, line in lines.items() if name not in without] + [keys, EVERYWHERE, ""]))
        if parties:
            assert self.kanhe("init").returncode == 0
            self.register()
        self.roles = {id_: role for id_, role, _, _ in HUB_PARTIES}

    def register(self):
        for id_, role, name, uscc in HUB_PARTIES:
            more = ["--uscc", uscc] if uscc else []
            done = self.kanhe("party", "add", "--id", id_, "--role", role, "--name", name, *more)
            assert done.returncode == 0, done.stderr

    def kanhe(self, *words, timeout=120):
        """The embedded command on the hub's directory."""
        return subprocess.run([COMMAND, "--data", self.data, *map(str, words)], capture_output=True, text=True, timeout=timeout)

    def kanhe_rows(self, *words):
        done = self.kanhe("--json", *words)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    # ---- the daemon
    def start(self, *words, wait=True, **more):
        self.log = os.path.join(self.root, "stderr.log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([self.program, "--config", self.conf, *words], stdout=subprocess.PIPE, stderr=log, text=True, **more)
        self.pid = self.process.pid
        if not wait:
            return None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"kanhed: ready https://(\S+):(\d+) datagrams (\S+) data (.+)\n", line)
        if not found:
            raise AssertionError(f"not ready: {line!r} {self.process.wait(30)} {self.said()[-2000:]}")
        self.host, self.port, self.datagrams = found[1], int(found[2]), found[3]
        return line

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def events(self):
        return [json.loads(line) for line in self.said().splitlines()]

    def tell(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, timeout=120):
        """The exit status."""
        if self.process is None:
            return None
        self.process.send_signal(number)
        status = self.process.wait(timeout)
        self.process.stdout.close()
        self.process = None
        self.sound()
        return status

    def sound(self):
        """Fails where a sanitizer has found something."""
        said = self.said()
        at = min((i for i in (said.find("Sanitizer"), said.find("runtime error:")) if i >= 0), default=-1)
        if at >= 0:
            raise AssertionError(said[max(0, at - 200) : at + 8000])

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            self.sound()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- calls
    def tls(self, party=None):
        context = ssl.create_default_context(cafile=self.authority.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        if party is not None:
            context.load_cert_chain(*self.authority.party(party, self.roles[party]))
        return context

    def client(self, party=None, timeout=60):
        return Client(self, party, timeout)

    def call(self, party, method, path, body=None, **more):
        client = self.client(party)
        try:
            return client.call(method, path, body, **more)
        finally:
            client.close()


class Client:
    """One connection of one party; it is opened again when the hub has closed it."""

    def __init__(self, hub, party, timeout):
        self.connection = http.client.HTTPSConnection(hub.host, hub.port, context=hub.tls(party), timeout=timeout)

    def call(self, method, path, body=None, kind="application/json", headers=ACCESS_JSON):
        """Status and the JSON object (or the text)."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        sent = dict(headers)
        if body is not None:
            sent["Content-Type"] = kind
        try:
            self.connection.request(method, path, body, sent)
        except (BrokenPipeError, ConnectionResetError, http.client.CannotSendRequest):
            self.connection.close()
            self.connection.request(method, path, body, sent)
        response = self.connection.getresponse()
        text = response.read().decode()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def apply(self, id_, serial, amount="10.00"):
        """An application for one declaration: the code's name, or None where nothing is known."""
        status, answer = self.call("POST", "/v1/financings", {
            "id": id_, "enterprise": "101", "product": "export_receivable", "amount": amount, "currency": "USD",
            "documents": ["export_declaration:" + declaration(serial)]})
        if status != 200 or not answer.get("results"):
            return status, None
        return status, answer["results"][0]["name"]

    def close(self):
        self.connection.close()


def declarations(count, first=1, amount="1000.00"):
    return HEADER + "".join(f"export_declaration,{declaration(first + i)},{USCC_A},USD,{amount},2026-11-01\n" for i in range(count))


class Load:
    """Threads of one bank that apply until told to stop; what was acknowledged is remembered."""

    def __init__(self, hub, bank, documents, threads=4, first_id=1, first_document=1):
        self.first_document = first_document
        self.acknowledged, self.lock, self.ending, self.statuses = set(), threading.Lock(), False, {}
        self.threads = [threading.Thread(target=self.run, args=(hub, bank, documents, first_id + t * 1000000), daemon=True) for t in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self, hub, bank, documents, id_):
        client = hub.client(bank, timeout=30)
        while not self.ending:
            try:
                status, name = client.apply(id_, id_ % documents + self.first_document, "0.01")
            except (OSError, http.client.HTTPException):
                client.close()
                if self.ending:
                    return
                time.sleep(0.01)
                continue
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if name == "OK":
                    self.acknowledged.add(id_)
            id_ += 1
            if status != 200:
                time.sleep(0.01)

    def wait(self, count, timeout=60):
        """Until so many were acknowledged, however slow the machine is."""
        until = time.monotonic() + timeout
        while len(self.acknowledged) < count and time.monotonic() < until:
            time.sleep(0.02)

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join(60)
        return self.acknowledged
