"""keys: the secrets of members and officers, and the certificates of links and HTTPS."""
import base64
import hashlib
import os
import shutil

from .plan import program, read_json, run, write_file

DAYS = 825
OFFICERS, OFFICERS_NEEDED = 3, 2


def make(suite, kind, *files):
    """The public keys, in hex, of secrets that are made where they are not there."""
    return run([program("kanhe-key"), suite, kind, *files]).split()


# ---- members and officers ----

def member_keys(node):
    """{"sender", "ack", "attest", "box", "consensus"} of a node, in hex; "" where it has none."""
    folder = node.path("keys")
    own = "ack" if node.role == "bank" else "attest"
    signs = make(node.cluster.suite, "sign", os.path.join(folder, "sender.key"), os.path.join(folder, own + ".key"))
    box = make(node.cluster.suite, "box", os.path.join(folder, "box.key"))[0]
    make(node.cluster.suite, "disk", os.path.join(folder, "disk.key"))
    keys = {"sender": signs[0], "ack": "", "attest": "", "box": box, "consensus": ""}
    keys[own] = signs[1]
    return keys


def group_key(cluster):
    """The hubs' key of epoch 1: every hub has the secret, nobody else."""
    files = [hub.path("keys", "group.1.key") for hub in cluster.hubs]
    public = make(cluster.suite, "box", files[0])[0]
    for file in files[1:]:
        if not os.path.exists(file):
            shutil.copy2(files[0], file)
    return public


def officers(cluster):
    os.makedirs(cluster.path("officers"), mode=0o700, exist_ok=True)
    return make(cluster.suite, "sign", *(cluster.path("officers", f"{i + 1}.key") for i in range(OFFICERS)))


def comet_key(path):
    """An Ed25519 key as CometBFT writes it: (secret and public in base64, public in hex, address in hex)."""
    public = make("intl", "sign", path)[0][:64]
    with open(path) as f:
        seed = bytes.fromhex(f.read().strip())
    address = hashlib.sha256(bytes.fromhex(public)).hexdigest()[:40]
    return base64.b64encode(seed + bytes.fromhex(public)).decode(), public, address


# ---- certificates ----

def new_key(path):
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])
    os.chmod(path, 0o600)


def authority(pem, key, name):
    if os.path.exists(pem):
        return
    new_key(key)
    run(["openssl", "req", "-x509", "-new", "-key", key, "-out", pem + ".new", "-days", 3650, "-subj", f"/O=Kanhe/CN={name}",
         "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign"])
    os.rename(pem + ".new", pem)


def certificate(ca, ca_key, path, subject, extensions):
    """path.pem and path.key, unless they are there."""
    if os.path.exists(path + ".pem"):
        return
    new_key(path + ".key")
    request = run(["openssl", "req", "-new", "-key", path + ".key", "-subj", subject])
    write_file(path + ".ext", f"basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n{extensions}\n")
    run(["openssl", "x509", "-req", "-CA", ca, "-CAkey", ca_key, "-days", DAYS, "-out", path + ".pem.new", "-extfile", path + ".ext"], input=request)
    os.remove(path + ".ext")
    os.rename(path + ".pem.new", path + ".pem")


def certificates(cluster):
    """Two authorities, so that whoever may ask a hub is no node, and a node is no party."""
    ca, ca_key, links, links_key = (cluster.path(name) for name in ("ca.pem", "ca.key", "links.pem", "links.key"))
    authority(ca, ca_key, "Kanhe trial authority")
    authority(links, links_key, "Kanhe trial links")
    os.makedirs(cluster.path("parties"), mode=0o700, exist_ok=True)
    for party in cluster.parties:
        certificate(ca, ca_key, cluster.path("parties", str(party["id"])), f"/CN={party['id']}/OU={party['role']}/O=Kanhe", "extendedKeyUsage=clientAuth")
    for node in cluster.nodes:
        certificate(ca, ca_key, node.path("https"), "/CN=kanhed/O=Kanhe",
                    f"subjectAltName=IP:{node.address},IP:127.0.0.1,IP:::1,DNS:localhost\nextendedKeyUsage=serverAuth")
        certificate(links, links_key, node.path("link"), f"/CN={node.member}", "extendedKeyUsage=serverAuth,clientAuth")
        for source, copy in ((ca, "ca.pem"), (links, "links.pem")):
            if not os.path.exists(node.path(copy)):
                shutil.copy(source, node.path(copy))


def is_complete(cluster):
    return read_json(cluster.path("genesis.json")) is not None
