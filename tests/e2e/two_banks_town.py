"""A hub with two banks whose every number and name is unmistakable, and what each of them received, byte by byte."""
import ctypes
import struct
import urllib.parse
from hub import *

REGULATOR, SOURCE, SHARED = 40190017, 60190193, 90133317
REFERS = "kind,number,owner_id,currency,amount,date,issuer_id,contract_no,refers_to\n"


class Side:
    """One bank and what is its alone: two enterprises (the second is enrolled by its financing), papers, financings, grants."""

    def __init__(self, seed, id_, name, enterprise, enterprise_name, uscc, enrolled):
        self.id, self.name, self.enterprise, self.enterprise_name, self.uscc, self.enrolled = id_, name, enterprise, enterprise_name, uscc, enrolled
        self.papers = [declaration(seed * 1000003 + i) for i in range(4)]
        self.bases = [f"{seed * 2741 + 17 * i}.{31 + i}" for i in range(4)]
        self.invoice, self.order, self.contract = f"KHINV{seed * 7919}", f"KHORD{seed * 7907}", f"KHCON{seed * 7901}"
        self.similar = declaration(seed * 1000003 + 77)
        self.financings = [seed * 10000000019 + i for i in range(1, 8)]
        self.amounts = [f"{seed * 13 + i}.{41 + i}" for i in range(8)]
        self.repaid = f"{seed * 7}.13"
        self.grants = [seed * 700001 + i for i in range(3)]
        self.product = f"product_{seed * 31}"
        self.subject = f"ACCOUNT{seed * 8111}"

    def paper(self, i):
        return "export_declaration:" + self.papers[i]

    def marks(self):
        """What the other bank must never receive, as text and as the wire has it."""
        texts = [self.id, self.name, self.name.split()[0], self.enterprise, self.enterprise_name, self.uscc, self.enrolled, *self.papers, *self.bases, self.invoice,
                 self.order, self.similar, self.contract, *self.financings, *self.amounts, self.repaid, *self.grants, self.product, self.subject]
        numbers = [self.id, self.enterprise], [*self.financings, *self.grants, *(int(a.replace(".", "")) for a in [*self.amounts, *self.bases, self.repaid])]
        return [str(t).encode() for t in texts] + [struct.pack("<I", n) for n in numbers[0]] + [struct.pack("<Q", n) for n in numbers[1]]


A = Side(4417, 70311931, "Jadeharbour Bank 玉港银行", 90233321, "Abalonexylo Works", "XYLOABALONE7741", "ENROLLEDXY99171")
B = Side(6653, 80427713, "Quillfeather Merchants 翎羽商行", 90333323, "Zephyrinekiln Ltd", "KILNZEPHYR88537", "ENROLLEDKI99377")
PARTIES = ((REGULATOR, "regulator", "Regulator Office", None), (A.id, "bank", A.name, None), (B.id, "bank", B.name, None),
           (SHARED, "enterprise", "Sharedware Looms", USCC_A), (A.enterprise, "enterprise", A.enterprise_name, A.uscc),
           (B.enterprise, "enterprise", B.enterprise_name, B.uscc), (SOURCE, "source", "Customs House Feed", None))
COMMON = declaration(555000111)
COMMON_PROOF = f"&owner={USCC_A}&amount=500000.00"


def papers():
    lines = [f"export_declaration,{COMMON},{USCC_A},USD,500000.00,2026-11-01,,,"]
    for x in (A, B):
        owners = (x.uscc, x.uscc, x.enrolled, x.uscc)
        lines += [f"export_declaration,{x.papers[i]},{owners[i]},USD,{x.bases[i]},2026-11-01,,{x.contract},"
                  for i in range(4)]
        lines.append(f"invoice,{x.invoice},{x.uscc},USD,{x.bases[0]},2026-11-01,,{x.contract},")
        lines.append(f"export_declaration,{x.similar},{USCC_B},USD,90000.00,2026-11-01,,KHCONSAME,")
    # one invoice, and the order behind it: a group that both banks finance, each on a paper of its own
    lines.append(f"invoice,{A.order},{USCC_B},USD,40000.00,2026-11-01,{USCC_B},,")
    lines.append(f"order,{B.order},{USCC_B},USD,40000.00,2026-11-01,,,invoice:{A.order}@{USCC_B}")
    return REFERS + "".join(line + "\n" for line in lines)


class Town(Hub):
    def __init__(self, openapi):
        super().__init__(keys=f'openapi = "{openapi}"; log_requests = true;', parties=False)
        assert self.kanhe("init").returncode == 0
        self.roles = {id_: role for id_, role, _, _ in PARTIES}
        self.received, self.asked_routes, self.asked_commands = {id_: [] for id_ in self.roles}, set(), set()
        for id_, role, name, uscc in PARTIES:
            more = ["--uscc", uscc] if uscc else []
            done = self.kanhe("party", "add", "--id", id_, "--role", role, "--name", name, *more)
            assert done.returncode == 0, done.stderr
        self.start()
        self.clients = {id_: self.client(id_).connection for id_ in self.roles}

    # ---- over HTTPS, raw
    def ask(self, who, method, path, body=None, kind="application/json", accept="application/json", route=None):
        """Status, headers without the date, body; all of it is remembered with what was asked."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body, ensure_ascii=False)
        if isinstance(body, str):
            body = body.encode()
        headers = {"Accept": accept, **({"Content-Type": kind} if body is not None else {})}
        connection = self.clients[who]
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        except (ConnectionError, ssl.SSLError, http.client.HTTPException):
            connection.close()
            connection.request(method, path, body, headers)
            response = connection.getresponse()
        got = response.read()
        head = [(k, v) for k, v in response.getheaders() if k != "Date"]
        asked = urllib.parse.unquote(path).encode() + b"\n" + path.encode() + b"\n" + (body or b"")
        self.received[who].append((f"{method} {path}", asked, f"{response.status} {head}\n".encode() + got))
        self.asked_routes.add((who, method, route or path.split("?")[0]))
        return response.status, head, got

    def rows(self, who, method, path, body=None, **more):
        status, _, got = self.ask(who, method, path, body, **more)
        answer = json.loads(got)
        assert status == 200 and answer["status"] in (0, 1), (method, path, body, status, answer)
        return answer["results"]

    def must(self, who, method, path, body=None, **more):
        rows = self.rows(who, method, path, body, **more)
        assert rows and all(r.get("code", 0) in (0, 53) for r in rows), (method, path, body, rows)
        return rows

    def apply(self, side, i, document, enterprise, wanted=("OK",)):
        row, = self.rows(side.id, "POST", "/v1/financings", {"id": str(side.financings[i]), "enterprise": str(enterprise), "product": side.product,
                                                             "amount": side.amounts[i], "currency": "USD", "documents": [document]})
        assert row["name"] in wanted, row

    def event(self, side, i, event, **fields):
        return self.must(side.id, "POST", f"/v1/financings/{side.financings[i]}/{event}", fields)

    # ---- by the command
    def command(self, who, *words, files=()):
        cert, key = self.authority.party(who, self.roles[who])
        for json_ in ((), ("--json",)):
            done = subprocess.run([COMMAND, "--connect", f"https://{self.host}:{self.port}", "--ca", self.authority.ca, "--cert", cert, "--key", key, *json_,
                                   *map(str, words)], capture_output=True, timeout=100, cwd=self.root)
            asked = " ".join(map(str, words)).encode() + b"".join(open(self.path(f), "rb").read() for f in files)
            self.received[who].append((" ".join(map(str, words)), asked, done.stdout + b"\n" + done.stderr))
        self.asked_commands.add((who, " ".join(map(str, words[:2]))))
        self.asked_commands.add((who, str(words[0])))
        return done

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return name

    # ---- over sealed datagrams, by the client library
    def lookup(self, who, questions):
        """questions: (KIND:NUMBER, amount in cents, want, owner). The answers' bytes are remembered."""
        library = ctypes.CDLL(os.path.join(os.environ["KH_BUILD_ROOT"], "engine", "client", "libkanhe-client.so"))
        cert, key = self.authority.party(who, self.roles[who])

        class Options(ctypes.Structure):
            _fields_ = [(name, ctypes.c_char_p) for name in ("url", "ca", "cert", "key")] + [("timeout_s", ctypes.c_double), ("sign", ctypes.c_char_p), ("sources", ctypes.c_char_p)]

        class Question(ctypes.Structure):
            _fields_ = [("id", ctypes.c_uint8 * 16), ("amount", ctypes.c_uint64), ("want", ctypes.c_uint64), ("owner", ctypes.c_char_p), ("currency", ctypes.c_uint16),
                        ("padding", ctypes.c_uint8 * 6)]

        class Answer(ctypes.Structure):
            _fields_ = [("code", ctypes.c_uint16), ("currency", ctypes.c_uint16), ("version", ctypes.c_uint32), ("free", ctypes.c_uint64), ("as_of", ctypes.c_uint64)]

        library.kh_client_open.argtypes = [ctypes.POINTER(Options), ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)]
        library.kh_client_lookup.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p]
        library.kh_client_document_id.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
        library.kh_client_close.argtypes = [ctypes.c_void_p]
        options = Options(f"https://{self.host}:{self.port}".encode(), *(f.encode() for f in (self.authority.ca, cert, key)), 10.0)
        client, why = ctypes.c_void_p(), ctypes.create_string_buffer(600)
        assert library.kh_client_open(options, why, 600, client) == 0, why.value
        asked = (Question * len(questions))()
        answers = (Answer * len(questions))()
        for q, (document, amount, want, owner) in zip(asked, questions):
            id_ = ctypes.create_string_buffer(32)
            at = (ctypes.addressof(id_) + 15) & ~15
            assert library.kh_client_document_id(document.encode(), at)
            ctypes.memmove(q.id, at, 16)
            q.amount, q.want, q.owner, q.currency = amount, want, owner.encode(), 840
        assert ctypes.addressof(asked) % 16 == 0
        result = library.kh_client_lookup(client, ctypes.addressof(asked), len(questions), ctypes.addressof(answers))
        library.kh_client_close(client)
        said = json.dumps(questions).encode() + b"".join(struct.pack("<QQ", a, w) for _, a, w, _ in questions)
        self.received[who].append(("datagrams", said, bytes(answers)))
        return result, [(a.code, a.version, a.free) for a in answers]


def op_frame(type_, party, body):
    size = 24 + len(body)
    size += -size % 8
    return (struct.pack("<IB3xI4xQ", size, type_, party, 0) + body).ljust(size, b"\0")


def op_apply(party, id_, amount, enterprise, key, product=b"x"):
    line = key + struct.pack("<QQH6x", 2**64 - 1, 2**64 - 1, 0)
    return op_frame(6, party, struct.pack("<QQIHBBI4x", id_, amount, enterprise, 840, 0, len(product), 1) + line.ljust(40, b"\0") + product)
