"""The HTTPS API against docs/openapi.yaml (which is JSON too): the same paths, answers of the described shape, and junk by every
operation: 4xx with a JSON object that says what is wrong, never 5xx, never a hang."""
import atexit
import random
import socket
import sys
import urllib.parse
from hub import *

OPENAPI = os.path.join(os.environ["KH_SOURCE_ROOT"], "docs", "openapi.yaml")
SEED = int(os.environ.get("KH_SEED", "1"))
ROUNDS = int(os.environ.get("KH_ROUNDS", "6"))
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW")
tap = Tap()
with open(OPENAPI, encoding="utf-8") as f:
    spec = json.load(f)
hub = Hub(keys=f'openapi = "{OPENAPI}"; max_body = 1048576;')
atexit.register(hub.close)


def resolve(node):
    while "$ref" in node:
        at = spec
        for part in node["$ref"][2:].split("/"):
            at = at[part]
        node = at
    return node


def operations():
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def conforms(value, schema, where="answer"):
    """None, or what is wrong: the part of JSON Schema that the description uses."""
    schema = resolve(schema)
    for part in schema.get("allOf", []):
        wrong = conforms(value, part, where)
        if wrong:
            return wrong
    types = schema.get("type")
    if types:
        python = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
        allowed = [python[t] for t in ([types] if isinstance(types, str) else types)]
        if not any(type(value) is t for t in allowed):
            return f"{where}: {value!r} is no {types}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        for name in schema.get("required", []):
            if name not in value:
                return f"{where}: {name} is missing"
        for name, inner in schema.get("properties", {}).items():
            if name in value and (wrong := conforms(value[name], inner, f"{where}.{name}")):
                return wrong
    if isinstance(value, list) and "items" in schema:
        for item in value:
            if wrong := conforms(item, schema["items"], where + "[]"):
                return wrong
    return None


# ---- the same set of paths, in the server's table and in the description
hub.start()
table = open(os.path.join(os.environ["KH_SOURCE_ROOT"], "engine", "http", "route.c"), encoding="utf-8").read()
table = table[table.index("kh_routes[] = {"):table.index("kh_route_cnt =")]
routes = set(re.findall(r'\{\s*"([A-Z]+)",\s*"(/[^"]*)"', table))
tap.same(sorted(routes), sorted((m, p) for m, p, _ in operations()), "the server's routes and the description's are the same")

# ---- what asks for nothing answers the regulator
regulator = hub.client(1)
for method, path, operation in operations():
    if method != "GET" or "{" in path or any(p["required"] for p in operation.get("parameters", [])):
        continue
    status, answer = regulator.call(method, path, headers={})
    content = resolve(operation["responses"]["200"])["content"]
    if tap.same(status, 200, f"GET {path} answers the regulator") and "application/json" in content:
        tap.same(conforms(answer, content["application/json"]["schema"]), None, f"GET {path} answers in the described form")
tap.same(regulator.call("GET", "/v1/openapi.yaml", headers={})[1], spec, "the description is served as it stands")
status, answer = regulator.call("GET", "/v1/parties", headers={"Accept": "application/x-ndjson"})
tap.same([json.loads(line).get("row") for line in answer.splitlines()], ["party"] * 6 + [None], "rows one a line, and an end")
tap.same(json.loads(answer.splitlines()[-1]), {"end": True, "status": 0, "message": ""}, "the end says how it went")
pages, after, rows = 0, None, []
while pages < 10:
    status, answer = regulator.call("GET", "/v1/parties?limit=4" + (f"&after={urllib.parse.quote(after)}" if after else ""))
    rows += [row["id"] for row in answer["results"]]
    pages, after = pages + 1, answer.get("next")
    if not after:
        break
tap.same((pages, rows), (2, [1, 11, 12, 101, 102, 201]), "pages meet without a gap")

# ---- who may what
for who, wanted in ((None, 401), (11, 200), (1, 200)):
    tap.same(hub.call(who, "GET", "/v1/me")[0], wanted, f"{who} asks who it is: {wanted}")
tap.same(hub.call(11, "GET", "/v1/me")[1]["results"], [{"row": "party", "id": 11, "role": "bank", "name": "Bank A", "uscc": None, "status": "active"}], "and learns it")
for party in (11, 101, 201):
    seen, first = sorted({1, party, 201}), hub.call(party, "GET", "/v1/parties?limit=1")[1]
    tap.same([[r["id"] for r in hub.call(party, "GET", "/v1/parties" + after)[1]["results"]] for after in ("", "?limit=1", "?after=" + first["next"], "?after=202")],
             [seen, seen[:1], seen[1:], []], f"{party} sees itself, the regulator and the sources in the list of parties, and nobody else")
tap.same([hub.call(None, "GET", path)[0] for path in ("/health", "/ready", "/metrics", "/v1/none", "/v1/openapi.yaml")], [200, 200, 401, 401, 401], "a stranger learns that the hub is there and nothing else")
for path in ("/v1/stats", "/v1/audit", "/metrics"):
    tap.same(hub.call(11, "GET", path)[0], 403, f"GET {path} is not for banks")
tap.same(hub.call(11, "POST", "/v1/parties", {"id": 77, "role": "bank", "name": "Mine"})[0], 403, "a bank registers nobody")
tap.same(hub.call(1, "POST", "/v1/documents?name=d.csv", declarations(3), kind="text/csv")[1]["results"][-1]["stored"], 3, "the regulator imports")
tap.same(hub.call(11, "POST", "/v1/documents", declarations(1), kind="text/csv")[0], 403, "a bank does not")
tap.same({f"{m} {p}": [hub.call(who, m, p)[0] for who in (1, 11, 101, 201)] for m, p in (("GET", "/v1/alerts"), ("GET", "/v1/financings"), ("GET", "/v1/grants"), ("GET", "/v1/grants/lookups"),
                                                                                         ("GET", "/v1/risk/account"), ("POST", "/v1/sessions"))},
         {"GET /v1/alerts": [200, 200, 200, 403], "GET /v1/financings": [200, 200, 200, 403], "GET /v1/grants": [200, 200, 200, 403], "GET /v1/grants/lookups": [200, 403, 200, 403],
          "GET /v1/risk/account": [200, 200, 403, 403], "POST /v1/sessions": [200] * 4}, "the regulator, a bank, an enterprise and a source: as docs/API.md says")
paper = f"/v1/balance?document=export_declaration:{declaration(1)}"
tap.same(hub.call(11, "GET", paper)[0], 404, "a bank without proof: as if it were not there")
status, answer = hub.call(11, "GET", paper + f"&owner={USCC_A}&amount=1000.00")
tap.same((status, answer["results"][0]["free"]), (200, "1000.00"), "with proof: the free balance")
for path in (paper, paper.replace("balance", "history"), "/v1/financings"):
    tap.same(hub.call(201, "GET", path)[0], 403, f"a source may not ask {path.partition('?')[0]}")
tap.same(hub.call(1, "GET", "/v1/financings/11:999")[0], 404, "a financing that is not there")
apply = {"id": 1, "enterprise": "101", "product": "export_receivable", "amount": "10.00", "currency": "USD", "documents": ["export_declaration:" + declaration(1)]}
tap.same(hub.call(11, "POST", "/v1/financings", apply)[1]["results"][0]["name"], "OK", "an application")
tap.same(hub.call(12, "GET", "/v1/financings/1")[0], 404, "another bank's financing is not there")
tap.same(hub.call(12, "GET", "/v1/financings")[1]["results"], [], "nor in its list")
tap.same(hub.call(11, "POST", "/v1/financings/1/accept")[1]["results"][0]["state"], "ACCEPTED", "an event without a body")
big = {**apply, "id": str(2**64 - 1)}
tap.same(hub.call(11, "POST", "/v1/financings", big)[1]["results"][0]["id"], 2**64 - 1, "an id of 64 bits, as text")

# ---- consent, and the risk list
grant = {"id": 1, "bank": "11", "scope": "documents,credit", "until": "2099-12-31"}
tap.same(hub.call(101, "POST", "/v1/grants", grant)[1]["results"][0]["name"], "OK", "an enterprise consents")
tap.same([hub.call(who, "GET", f"/v1/credit?enterprise=101&grant={g}")[1]["status"] for who, g in ((11, 1), (11, 2), (12, 1))], [0, 1, 1], "the bank may look, without the grant or as another it may not")
status, answer = hub.call(11, "GET", "/v1/credit?enterprise=101&grant=1&scope=documents&limit=2")
first = [row["number"] for row in answer["results"]]
status, answer = hub.call(11, "GET", "/v1/credit?enterprise=101&grant=1&scope=documents&limit=2&after=" + urllib.parse.quote(answer["next"]))
tap.same((first + [row["number"] for row in answer["results"]], answer.get("next")), ([declaration(i) for i in (1, 2, 3)], None), "its documents come in pages")
tap.ok(len(hub.call(101, "GET", "/v1/grants/lookups")[1]["results"]) >= 3, "the enterprise sees the looks")
tap.same(hub.call(101, "POST", "/v1/grants/1/revoke")[1]["results"][0]["name"], "OK", "and takes its consent back")
tap.same(hub.call(11, "GET", "/v1/credit?enterprise=101&grant=1")[1]["status"], 1, "then the bank may look no more")
tap.same(hub.call(11, "POST", "/v1/risk", {"subject": USCC_B, "category": "fraud"})[1]["status"], 0, "a bank contributes to the risk list")
status, answer = hub.call(12, "POST", "/v1/risk/ask", {"subjects": [USCC_A, USCC_B]})
tap.ok(status == 200 and len(answer["results"]) == 2 and "11" not in json.dumps(answer["results"]).replace(USCC_A, "").replace(USCC_B, ""), "another asks and does not learn who", answer)

# ---- what is wrong is named
for path, body, kind, status, field in (
        ("/v1/financings", {**apply, "amount": 10}, "application/json", 400, "amount"),
        ("/v1/financings", {**apply, "colour": "red"}, "application/json", 400, "colour"),
        ("/v1/financings", {k: v for k, v in apply.items() if k != "currency"}, "application/json", 400, "currency"),
        ("/v1/financings", '{"id":1,"id":2}', "application/json", 400, None),
        ("/v1/financings", "[]", "application/json", 400, None),
        ("/v1/financings", '{"id":', "application/json", 400, None),
        ("/v1/financings", '{"enterprise":"\\u0000"}', "application/json", 400, None),
        ("/v1/financings", apply, "text/plain", 415, "Content-Type"),
        ("/v1/verify?colour=red", "x", "text/csv", 400, "colour"),
        ("/v1/verify?name=a&name=b", "x", "text/csv", 400, "name"),
        ("/v1/verify?line_offset=-1", "x", "text/csv", 400, "line_offset"),
        ("/v1/verify?name=%00", "x", "text/csv", 400, None),
        ("/v1/verify?name=%zz", "x", "text/csv", 400, None),
        ("/v1/verify?name=%ff", "x", "text/csv", 400, None),
        ("/v1/verify", "x" * (1 << 20) + "x", "text/csv", 413, None),
        ("/v1/operations", b"\x01" * 23, "application/octet-stream", 400, None)):
    got, answer = hub.call(11, "POST", path, body, kind=kind)
    tap.same((got, answer.get("field"), bool(answer["message"])), (status, field, True), f"{path} {str(body)[:40]!r}: {status}, {field}")
for path, why in ((f"/v1/balance?document={'z' * 3000}", "a paper is named"), (f"/v1/history?document={urllib.parse.quote('invoice:' + '票' * 900)}", "a paper is named"),
                  (f"/v1/credit?enterprise=101&grant=1&scope={urllib.parse.quote('围' * 900)}", "is no scope"), (f"/v1/financings?state=x{urllib.parse.quote('态' * 900)}", "is no state"), (f"/v1/parties?after={urllib.parse.quote('后' * 30)}", "as next")):
    status, answer = hub.call(11, "GET", path)
    tap.ok(status == 400 and why in answer["message"] and len(answer["message"]) < 600, f"{path[:30]} with much text is told what is wrong, not only what was said", answer)
tap.same(hub.call(11, "PUT", "/v1/verify")[0], 405, "a wrong method")
tap.same(hub.call(11, "GET", "/v1/me", headers={"Accept": "image/png"})[0], 406, "a form that cannot be had")
client = hub.client(11)
client.connection.putrequest("POST", "/v1/verify")
client.connection.putheader("Content-Type", "text/csv")
client.connection.putheader("Transfer-Encoding", "chunked")
client.connection.endheaders()
tap.same(client.connection.getresponse().status, 411, "a body without a length")

# ---- junk
junk_texts = ("", "0", "-1", "x" * 3000, "\u0000", "../../etc/passwd", "%s%n", "'", '"', "<a>", "null", "1e99", "NaN", "9" * 40, "\U0001f600", "报关单", " ", "\r\n", "/", "a:b@c/d=e")
junk_bytes = (b"", b"\x00", b"\xff\xfe", b"{", b"[" * 3000, b'{"a":' * 3000, b"\xef\xbb\xbf{}", b"kind,number\n\x00\x01\n", b"," * 5000, b"\x80" * 4096, b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
              b"UNB+UNOA:1+x'", b"PK\x03\x04" + b"\x00" * 100, b"id,event,amount\n1,accept,\n", b"\x20\x00\x00\x00\x07" + b"\x00" * 27, b"18446744073709551616\n" * 100)
random.seed(SEED)
print(f"# KH_SEED={SEED} KH_ROUNDS={ROUNDS}")


def junk_value(schema):
    schema = resolve(schema)
    choice = random.randrange(8)
    if choice == 0:
        return random.choice((None, True, 0, -1, 1.5, 2**70, [], {}, [[]], {"a": {}}, [None], "x" * 100000))
    if choice == 1:
        return random.choice(junk_texts)
    if "enum" in schema:
        return random.choice(schema["enum"])
    if "oneOf" in schema:
        return random.choice((1, 11, "12", 2**63 - 1))
    return {"integer": lambda: random.randrange(2**32), "boolean": lambda: True, "array": lambda: [random.choice(junk_texts) for _ in range(random.choice((0, 1, 300)))]}.get(schema.get("type"), lambda: random.choice(("USD", "10.00", "101", f"export_declaration:{declaration(1)}")))()


def junk_request(method, path, operation):
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            value = random.choice(junk_texts + ("1", "11", "accept", "currencies"))
            path = path.replace("{%s}" % parameter["name"], urllib.parse.quote(value, safe="") or "%20")
    query = []
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "query" and random.random() < 0.7:
            query.append(f"{parameter['name']}={urllib.parse.quote(str(junk_value(parameter['schema']))[:3000])}")
    query += random.choice(([], [], [], ["unknown=1"], ["a"], ["%"], ["=&&="], ["name=%e4%bd"]))
    if query:
        path += "?" + "&".join(query)
    body, kind = None, random.choice(("text/csv", "application/json", "application/xml", "image/png", "", "application/json; charset=latin-1"))
    content = operation.get("requestBody", {}).get("content", {})
    if content and random.random() < 0.9:
        kind = random.choice(list(content)) if random.random() < 0.8 else kind
        schema = resolve(content[next(iter(content))]["schema"])
        if schema.get("type") == "object" and random.random() < 0.7:
            body = json.dumps({n: junk_value(s) for n, s in schema.get("properties", {}).items() if random.random() < 0.9}).encode()
            if random.random() < 0.2:
                body = body[:random.randrange(len(body) + 1)]
        else:
            body = random.choice(junk_bytes) if random.random() < 0.9 else bytes(random.randrange(256) for _ in range(random.randrange(5000)))
    elif random.random() < 0.1:
        body = random.choice(junk_bytes)
    if random.random() < 0.1:
        method = random.choice(METHODS)
    return method, path, body, kind


def send(client, method, path, body, kind):
    """Status, answer; the connection is opened again where the server has closed it."""
    for attempt in (1, 2):
        try:
            client.connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            response = client.connection.getresponse()
            return response.status, response.read(), response.getheader("Content-Type") or ""
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            client.connection.close()
            if attempt == 2:
                return None, repr(error).encode(), ""


def wrong_with(status, text, kind, method, operation):
    if status is None:
        return f"no answer: {text!r}"
    if status >= 500:
        return f"status {status}: {text[:300]!r}"
    if method == "HEAD":
        return None
    if status >= 400 or kind.startswith("application/json"):
        try:
            answer = json.loads(text)
        except ValueError:
            return f"{status} {kind}: no JSON: {text[:200]!r}"
        if wrong := conforms(answer, spec["components"]["schemas"]["Answer"]):
            return wrong
        if status >= 400 and not answer["message"]:
            return f"{status} without a word"
        if answer["message"].find("/tmp") >= 0:
            return f"a path of the machine: {answer['message']}"
    if str(status) not in operation["responses"] and status not in (404, 405):
        return f"{status} is not described"
    return None


bad, sent, statuses = [], 0, {}
for who in (1, 11, 101, 201):
    client = hub.client(who, timeout=30)
    for method, path, operation in operations():
        if path in ("/v1/audit", "/v1/snapshot"):
            continue
        for _ in range(ROUNDS):
            request = junk_request(method, path, operation)
            status, text, kind = send(client, *request)
            sent += 1
            statuses[status] = statuses.get(status, 0) + 1
            wrong = wrong_with(status, text, kind, request[0], operation)
            if wrong:
                bad.append(f"party {who}: {request[0]} {request[1][:200]} {request[3]} {(request[2] or b'')[:200]!r}: {wrong}")
tap.same(hub.call(1, "POST", "/v1/parties/1/freeze")[0], 400, "the regulator cannot lock itself out")
for party in (11, 12, 101, 201):
    hub.call(1, "POST", f"/v1/parties/{party}/unfreeze")
tap.ok(not bad, f"{sent} requests of junk: " + " ".join(f"{k}:{v}" for k, v in sorted(statuses.items(), key=str)), "\n".join(bad[:20]))


# ---- junk below HTTP: cut bodies, cut headers, bytes that are no HTTP
def raw(data, party=11, wait=5):
    plain = socket.create_connection((hub.host, hub.port), timeout=wait)
    with hub.tls(party).wrap_socket(plain, server_hostname="127.0.0.1") as s:
        s.settimeout(wait)
        answer = b""
        try:
            try:
                s.sendall(data)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                pass  # answered before all was sent
            while more := s.recv(65536):
                answer += more
                length = re.search(rb"Content-Length: (\d+)\r\n(?:.*?\r\n)?\r\n", answer, re.S)
                if length and len(answer) >= length.end() + int(length[1]):
                    break
        except (socket.timeout, ConnectionResetError, ssl.SSLError):
            pass
        return answer


for name, data in (("no HTTP", b"\x00\x01\x02\r\n\r\n"), ("HTTP/9", b"GET /v1/me HTTP/9.9\r\n\r\n"), ("a long line", b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n"),
                   ("a long header", b"GET /v1/me HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100000 + b"\r\n\r\n"), ("a header of no form", b"GET /v1/me HTTP/1.1\r\nHost: a\r\n: :\r\nno colon\r\n\r\n"),
                   ("two lengths", b"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
                   ("a length of no number", b"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\nContent-Length: x\r\n\r\n"),
                   ("a huge length", b"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\nContent-Length: 99999999999999999999\r\n\r\n"),
                   ("no Host", b"GET /v1/me HTTP/1.1\r\n\r\n"), ("a blank after Host", b"POST /v1/verify HTTP/1.1\r\nHost : a\r\nContent-Length: 1\r\n\r\nx"), ("a raw NUL", b"GET /v1/me?a=\x00 HTTP/1.1\r\nHost: a\r\n\r\n")):
    answer = raw(data)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ")[1:2]
    try:
        sound = not answer or (status and status[0][:1] in b"24" and isinstance(json.loads(body)["message"], str))
    except (ValueError, KeyError):
        sound = False
    tap.ok(sound, f"{name}: {status[0].decode() if status else 'closed'}", answer[-300:])
# what two readers on the way could take for one request or two: refused, and what follows on the connection is not read
for name, line in (("two lengths", "Content-Length: 2\r\nContent-Length: 2"), ("two hosts", "Host: b\r\nContent-Length: 2"), ("a blank before the colon", "Content-Length : 2\r\nContent-Length: 2")):
    plain = socket.create_connection((hub.host, hub.port), timeout=20)
    with hub.tls(11).wrap_socket(plain, server_hostname="127.0.0.1") as s:
        s.sendall(f"POST /v1/verify HTTP/1.1\r\nHost: a\r\nContent-Type: text/csv\r\n{line}\r\n\r\nabGET /v1/me HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = b""
        try:
            answer = b"".join(iter(lambda: s.recv(65536), b""))
        except socket.timeout:
            pass  # still open
    tap.same(re.findall(rb"HTTP/1.1 (\d+)", answer), [b"400"], f"{name}: refused, and the connection is over")
tap.same(hub.call(11, "POST", "/v1/verify", HEADER, kind="text/csv", headers={"Content-Encoding": "gzip"})[0], 415, "compressed bodies are not taken")
client = hub.client(11)
client.connection.putrequest("POST", "/v1/verify")
client.connection.putheader("Content-Type", "text/csv")
client.connection.putheader("Content-Length", "1000")
client.connection.endheaders(b"kind,num")
client.close()
tap.same(hub.call(11, "GET", "/v1/me")[0], 200, "a cut body harms nobody")
tap.same(hub.call(1, "GET", "/v1/audit")[1]["results"][0]["ok"], True, "and the audit proves every outcome")
proofs = {id_: hub.call(11, "GET", f"/v1/financings/{id_}/receipt")[1].get("field") for id_ in ("1", "11:1", "12:1", "11:", ":1", "11:1:1", "11:x", "x")}
tap.same(proofs, {"1": None, "11:1": None, **{id_: "id" for id_ in ("12:1", "11:", ":1", "11:1:1", "11:x", "x")}}, "a receipt is asked for by a bank's own number, its own id before it or not")
tap.same(hub.call(1, "GET", "/v1/audit?height=0")[1].get("field"), "height", "there is no height 0")
tap.same(hub.stop(), 0, "the hub stops cleanly")
hub.close()
tap.end()
