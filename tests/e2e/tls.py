"""A scanner's view of the hub's TLS, and what each kind of certificate is answered."""
import atexit
import socket
from hub import *

tap = Tap()
hub = Hub()
atexit.register(hub.close)
hub.start()
AT = ("-connect", f"{hub.host}:{hub.port}")


def s_client(*words, sent="", timeout=20):
    done = subprocess.run(["openssl", "s_client", *AT, "-CAfile", hub.authority.ca, *words], input=sent, capture_output=True, text=True, timeout=timeout)
    return done.stdout + done.stderr


def shaken(text):
    found = re.search(r"^New, (TLSv\S+), Cipher is (\S+)", text, re.M)
    return (found[1], found[2]) if found else None


# ---- versions and suites
for version in ("tls1", "tls1_1", "tls1_2"):
    tap.same(shaken(s_client(f"-{version}", "-cipher", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")), None, f"{version} is refused")
for suite, wanted in (("TLS_AES_256_GCM_SHA384", True), ("TLS_CHACHA20_POLY1305_SHA256", True), ("TLS_AES_128_GCM_SHA256", True), ("TLS_AES_128_CCM_SHA256", False), ("TLS_AES_128_CCM_8_SHA256", False)):
    tap.same(shaken(s_client("-tls1_3", "-ciphersuites", suite)), ("TLSv1.3", suite) if wanted else None, f"{suite}: {'taken' if wanted else 'refused'}")
tap.same(shaken(s_client("-tls1_3"))[1], "TLS_AES_256_GCM_SHA384", "left to itself it takes AES-256")
for group, wanted in (("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False), ("ffdhe2048", False)):
    tap.same(shaken(s_client("-tls1_3", "-groups", group)) is not None, wanted, f"group {group}: {'taken' if wanted else 'refused'}")
text = s_client("-tls1_3")
tap.ok("Verify return code: 0 (ok)" in text, "its certificate chains to the authority")
tap.ok("Compression: NONE" in text, "no compression")
tap.ok("New Session Ticket" not in text and "Early data was not sent" in text, "no tickets, no early data")
tap.ok("Acceptable client certificate CA names" in text, "it asks for a client's certificate, and says whose")
tap.ok("Secure Renegotiation IS NOT supported" in text, "no renegotiation")
for offer, wanted in (("http/1.1", "ALPN protocol: http/1.1"), ("h2,http/1.1", "ALPN protocol: http/1.1")):
    tap.ok(wanted in s_client("-tls1_3", "-alpn", offer), f"ALPN {offer}: http/1.1")
text = s_client("-tls1_3", "-alpn", "h2")
tap.ok(shaken(text) is None and "No ALPN negotiated" in text, "ALPN h2 alone: refused", text[-300:])
tap.ok(shaken(s_client("-tls1_3", "-servername", "elsewhere.example")) is not None, "any name is taken: certificates decide, not names")
with socket.create_connection((hub.host, hub.port), timeout=5) as s:
    s.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
    s.settimeout(5)
    try:
        raw = s.recv(1000)
    except OSError:
        raw = b""
tap.ok(b"HTTP" not in raw, "plain HTTP gets no HTTP", raw)

# ---- certificates
other = Authority(hub.root, "other")


def sign(authority, name, subject, *more, days=("-days", "30"), extensions=None, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    cert, secret, request = (os.path.join(hub.root, f"x-{name}.{end}") for end in ("pem", "key", "csr"))
    openssl("req", "-new", "-newkey", *key, "-nodes", "-keyout", secret, "-out", request, "-subj", subject)
    if extensions:
        with open(request + ".ext", "w") as f:
            f.write(extensions)
        more += ("-extfile", request + ".ext")
    if authority is None:
        openssl("x509", "-req", "-in", request, "-signkey", secret, "-out", cert, *days)
    else:
        openssl("x509", "-req", "-in", request, "-CA", authority.ca, "-CAkey", authority.ca_key, "-CAcreateserial", "-out", cert, *days, *more)
    return cert, secret


def dated(name, subject, start, end):
    """A certificate with dates, which `openssl x509` cannot give: `openssl ca` can."""
    cert, secret, request, folder = (os.path.join(hub.root, f"x-{name}{end}") for end in (".pem", ".key", ".csr", ".d"))
    os.mkdir(folder)
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", secret, "-out", request, "-subj", subject)
    conf = os.path.join(folder, "ca.conf")
    open(os.path.join(folder, "index"), "w").close()
    with open(conf, "w") as f:
        f.write(f"[ca]\ndefault_ca=a\n[a]\ndatabase={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\ndefault_md=sha256\npolicy=p\n[p]\nCN=supplied\nOU=optional\nO=optional\n")
    openssl("ca", "-batch", "-config", conf, "-cert", hub.authority.ca, "-keyfile", hub.authority.ca_key, "-in", request, "-out", cert, "-notext", "-preserveDN", "-startdate", start, "-enddate", end)
    return cert, secret


def ask(pair, *paths):
    """The statuses of each path, all on one connection."""
    context = ssl.create_default_context(cafile=hub.authority.ca)
    if pair:
        context.load_cert_chain(*pair)
    connection = http.client.HTTPSConnection(hub.host, hub.port, context=context, timeout=20)
    statuses, said = [], ""
    for path in paths:
        connection.request("GET", path)
        response = connection.getresponse()
        said = json.loads(response.read()).get("message", "")
        statuses.append(response.status)
    connection.close()
    return statuses, said


BANK = "/O=Kanhe/OU=bank/CN=11"
PATHS = ("/health", "/v1/me", "/v1/none", "/health")
for name, pair, wanted, word in (
        ("no certificate", None, [200, 401, 401, 200], "certificate"),
        ("the bank's", sign(hub.authority, "good", BANK), [200, 200, 404, 200], ""),
        ("RSA 2048", sign(hub.authority, "rsa", BANK, key=("rsa:2048",)), [200, 200, 404, 200], ""),
        ("Ed25519", sign(hub.authority, "ed", BANK, key=("ed25519",)), [200, 200, 404, 200], ""),
        ("attributes in another order", sign(hub.authority, "order", "/CN=11/OU=bank/O=Kanhe"), [200, 200, 404, 200], ""),
        ("expired", dated("expired", BANK, "20200101000000Z", "20210101000000Z"), [200, 401, 401, 200], "expired"),
        ("not valid yet", dated("early", BANK, "20400101000000Z", "20450101000000Z"), [200, 401, 401, 200], "not valid yet"),
        ("signed by itself", sign(None, "self", BANK), [200, 401, 401, 200], "authority"),
        ("of another authority", sign(other, "foreign", BANK), [200, 401, 401, 200], "authority"),
        ("a server's", sign(hub.authority, "server", BANK, extensions="extendedKeyUsage=serverAuth"), [200, 401, 401, 200], "not meant for clients"),
        ("of no party", sign(hub.authority, "nobody", "/O=Kanhe/OU=bank/CN=99"), [403] * 4, "names no party"),
        ("another role", sign(hub.authority, "role", "/O=Kanhe/OU=regulator/CN=11"), [403] * 4, "names no party"),
        ("no role", sign(hub.authority, "norole", "/O=Kanhe/CN=11"), [403] * 4, "names no party"),
        ("a role that is none", sign(hub.authority, "badrole", "/O=Kanhe/OU=admin/CN=11"), [403] * 4, "names no party"),
        ("two names", sign(hub.authority, "two", "/O=Kanhe/OU=bank/CN=11/CN=1"), [403] * 4, "names no party"),
        ("another house", sign(hub.authority, "house", "/O=Elsewhere/OU=bank/CN=11"), [403] * 4, "names no party"),
        ("a name that is no id", sign(hub.authority, "word", "/O=Kanhe/OU=bank/CN=Bank A"), [403] * 4, "names no party"),
        ("a blank before the id", sign(hub.authority, "blank", "/O=Kanhe/OU=bank/CN= 11"), [403] * 4, "names no party"),
        ("zeros before the id", sign(hub.authority, "zeros", "/O=Kanhe/OU=bank/CN=0011"), [403] * 4, "names no party"),
        ("an id past 32 bits", sign(hub.authority, "big", "/O=Kanhe/OU=bank/CN=4294967307"), [403] * 4, "names no party"),
        ("party 0", sign(hub.authority, "zero", "/O=Kanhe/OU=regulator/CN=0"), [403] * 4, "names no party")):
    try:
        got, _ = ask(pair, *PATHS)
        said = ask(pair, "/v1/me")[1]
    except (OSError, http.client.HTTPException) as error:
        got, said = repr(error), ""
    tap.same((got, word in said), (wanted, True), f"a certificate {name}: {wanted[1]}")

# ---- handshakes that stand still: each waits outside the polling threads (which would ask it again and again) until there is more
def waiting(count):
    for _ in range(200):
        got = int(re.search(r"^kanhe_http_handshakes_waiting (\d+)$", hub.call(1, "GET", "/metrics", headers={})[1], re.M)[1])
        if got == count:
            break
        time.sleep(0.05)
    return got


class Slow:
    """A handshake and a request by hand, in pieces."""

    def __init__(self, number):
        self.socket = socket.socket()
        self.socket.bind((f"127.0.1.{1 + number}", 0))
        self.socket.settimeout(30)
        self.socket.connect((hub.host, hub.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read, self.write = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = hub.tls(11).wrap_bio(self.read, self.write, server_hostname="localhost")
        self.step(self.tls.do_handshake)
        self.hello = self.write.read()

    def step(self, call, *words):
        try:
            return call(*words)
        except ssl.SSLWantReadError:
            return None

    def send(self, data, at_once):
        for at in range(0, len(data), at_once):
            self.socket.sendall(data[at:at + at_once])
            time.sleep(0.002)

    def until(self, call, *words):
        while (got := self.step(call, *words)) is None and self.write.pending == 0:
            data = self.socket.recv(65536)
            if data == b"":
                raise OSError("closed")
            self.read.write(data)
        return got

    def end(self, at_once):
        self.send(self.hello, at_once)
        self.until(self.tls.do_handshake)
        self.tls.write(b"GET /v1/me HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.send(self.write.read(), at_once)
        return self.until(self.tls.read, 65536)[:12]


other = hub.client(1)
still = [Slow(i) for i in range(40)]
tap.same(waiting(0), 0, "connections that have sent nothing wait for their first bytes as all do")
for i, s in enumerate(still):
    s.socket.sendall(s.hello[:3] if i < 20 else s.hello)
tap.same(waiting(40), 40, "40 handshakes of three bytes or a ClientHello stand beside the polling threads")
tap.same(other.call("GET", "/v1/me")[0], 200, "others are served meanwhile")
for s in still[:10] + still[20:30]:
    s.socket.close()
tap.same(waiting(20), 20, "those that go are gone")
for s in still[10:20]:
    s.hello = s.hello[3:]
for s in still[30:40]:
    s.hello = b""
for at_once in (1, 7, 65536):
    got = [still[i].end(at_once) for i in {1: (10, 30), 7: (11, 31), 65536: (12, 32)}[at_once]]
    tap.same(got, [b"HTTP/1.1 200"] * 2, f"the others go on where they stood, {at_once} bytes at a time")
tap.same(waiting(14), 14, "and the rest still waits")

# ---- a party that changes while its connection is open
client = hub.client(12)
tap.same(client.call("GET", "/v1/me")[0], 200, "a bank is known")
tap.same(hub.call(1, "POST", "/v1/parties/12/freeze")[0], 200, "the regulator freezes it")
status, answer = client.call("GET", "/v1/alerts")
tap.same((status, answer["results"][0]["name"]), (403, "FROZEN"), "the next request on the same connection is refused")
tap.same([client.call("POST", f"/v1/financings/1/{event}")[0] for event in ("accept", "approve", "disburse")], [403] * 3, "no new business")
tap.ok(client.call("POST", "/v1/financings/1/repay")[0] != 403, "repaying goes on")
tap.same(hub.call(1, "POST", "/v1/parties/12/unfreeze")[0], 200, "the regulator lifts it")
tap.same(client.call("GET", "/v1/alerts")[0], 200, "and the connection goes on")
tap.same(hub.stop(), 0, "the hub stops cleanly, handshakes that wait or not")
hub.close()
tap.end()
