"""A certificate that its authority takes back: the list is read again on SIGHUP, what is open ends, and nothing new begins."""
import signal
import socket
from asking import *
from authority import Lists

tap = Tap()


hub = Hub(keys=f'crl = "crl.pem"; datagrams = {{ listen = "127.0.0.1:{free_port(socket.SOCK_DGRAM)}"; }};', without=("datagrams",),
          limits='probe_limit = "off"; address_limit = "off";')
atexit.register(hub.close)
import_declarations(hub)
lists = Lists(hub.authority.ca, hub.authority.ca_key, hub.authority.root)
hub.start()


def reload(word):
    """SIGHUP, until the log says what came of it."""
    before = hub.said().count(word)
    os.kill(hub.pid, signal.SIGHUP)
    until = time.monotonic() + 60
    while hub.said().count(word) == before and time.monotonic() < until:
        time.sleep(0.02)
    return hub.said().count(word) > before


def connect(party, pair=None):
    context = ssl.create_default_context(cafile=hub.authority.ca)
    context.load_cert_chain(*(pair or hub.authority.party(party, hub.roles[party])))
    return http.client.HTTPSConnection(hub.host, int(hub.port), context=context, timeout=20)


def ask(connection, path="/v1/me"):
    """The status; None: the connection is over."""
    try:
        connection.request("GET", path, headers=ACCESS_JSON)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, text
    except (OSError, http.client.HTTPException):
        return None, ""


# ---- nothing is revoked
bank, other = connect(11), connect(12)
one, two = Ask(hub, 11), Ask(hub, 12)
tap.same((ask(bank)[0], ask(other)[0], one.ready(), two.ready()), (200, 200, True, True), "two banks are answered, over HTTPS and in sealed datagrams")
tap.ok(reload("certificate_renewed"), "a list that names nobody is read again")
tap.same((ask(bank)[0], ask(other)[0]), (200, 200), "and their connections go on")

# ---- one is
renewed = hub.authority.sign("party-11-new", "/O=Kanhe/OU=bank/CN=11")
lists.revoke(hub.authority.party(11, "bank")[0])
tap.same(ask(bank)[0], 200, "before the list is read, nothing changes")
tap.ok(reload("certificate_renewed"), "it is read on SIGHUP")
bank.auto_open = False
tap.same(ask(bank)[0], None, "the revoked one's open connection is over")
status, text = ask(connect(11))
tap.ok(status == 401 and "revoked" in text, "a new one is refused, and told why", (status, text))
cert, key = hub.authority.party(11, "bank")
said = subprocess.run([os.environ["KANHE"], "--connect", f"https://{hub.host}:{hub.port}", "--ca", hub.authority.ca, "--cert", cert, "--key", key, "alerts"], capture_output=True, text=True)
tap.same((said.returncode, said.stdout, said.stderr), (2, "", "kanhe: the certificate was revoked\n"), "the command says so, and nothing of its usage")
over, got = one.over(), one.totals()
tap.ok(over and got["wrong"] == 0, "its datagram session is over, and it gets no other", got)
tap.ok(figure(hub, "kanhe_http_connections_dropped_total", 'why="revoked"') > 0, "that is counted")
tap.same(ask(other)[0], 200, "the other bank's connection goes on")
tap.ok(two.more(3) and two.totals()["failed"] == 0, "and its datagrams")
tap.same(ask(connect(11, renewed))[0], 200, "the same party with its new certificate is answered")

# ---- lists that are none
with open(lists.list, "rb") as f:
    good = f.read()
strange = Authority(hub.root, "strange")
wrong = Lists(strange.ca, strange.ca_key, hub.root, "strange-crl")
for what, text in (("that another authority signed", open(wrong.list, "rb").read()), ("that is none", b"no list\n"), ("that was altered", good.replace(b"\nMI", b"\nMJ", 1))):
    with open(lists.list, "wb") as f:
        f.write(text)
    tap.ok(reload("certificate_not_renewed"), f"a list {what} is not taken, and that is said", hub.said()[-500:])
    tap.same(ask(connect(11))[0], 401, "the one before is still used")
with open(lists.list, "wb") as f:
    f.write(good)

# ---- from the start on, and when it has run out
hub.stop()
lists.write("-crl_lastupdate", "20200101000000Z", "-crl_nextupdate", "20200102000000Z")
hub.start()
tap.same((ask(connect(11))[0], ask(connect(12))[0]), (401, 200), "a list that has run out still says who is revoked, from the start on")
hub.stop()
with open(lists.list, "wb") as f:
    f.write(b"nothing")
hub.start(wait=False)
tap.same(hub.process.wait(30), 3, "with a list that is none kanhed does not start")
tap.end()
