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


def party_key(cluster, party):
    """The public key by which the regulator, a source or an enterprise signs what it changes: `kanhe` takes DIR/parties/ID.sign."""
    return make(cluster.suite, "sign", cluster.path("parties", f"{party}.sign"))[0]


def is_signing(cluster, party):
    return os.path.exists(cluster.path("parties", f"{party}.sign"))


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

def sign(path, subject, extensions, days, issuer=()):
    """path.pem and path.key by one call of openssl; unless they are there."""
    if os.path.exists(path + ".pem"):
        return
    write_file(path + ".cnf", "[req]\ndistinguished_name = name\nx509_extensions = extensions\n[name]\n[extensions]\n" + "\n".join(extensions) + "\n")
    run(["openssl", "req", "-x509", "-config", path + ".cnf", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", days,
         "-subj", subject, "-keyout", path + ".key", "-out", path + ".pem.new", *issuer])
    os.chmod(path + ".key", 0o600)
    os.remove(path + ".cnf")
    os.rename(path + ".pem.new", path + ".pem")


def authority(path, name):
    sign(path, f"/O=Kanhe/CN={name}", ("basicConstraints = critical, CA:TRUE, pathlen:0", "keyUsage = critical, keyCertSign, cRLSign",
                                       "subjectKeyIdentifier = hash"), 3650)


def certificate(ca, path, subject, *extensions):
    sign(path, subject, ("basicConstraints = CA:FALSE", "keyUsage = digitalSignature", "authorityKeyIdentifier = keyid", *extensions), DAYS,
         ("-CA", ca + ".pem", "-CAkey", ca + ".key"))


def certificates(cluster):
    """Two authorities, so that whoever may ask a hub is no node, and a node is no party."""
    parties, links = cluster.path("ca"), cluster.path("links")
    authority(parties, "Kanhe trial authority")
    authority(links, "Kanhe trial links")
    for party in cluster.parties:
        certificate(parties, cluster.path("parties", str(party["id"])), f"/CN={party['id']}/OU={party['role']}/O=Kanhe", "extendedKeyUsage = clientAuth")
    for node in cluster.nodes:
        # a bank's node serves with it, and asks hubs with it in its bank's name
        subject, usage = (f"/CN={node.member}/OU=bank/O=Kanhe", "serverAuth, clientAuth") if node.role == "bank" else ("/CN=kanhed/O=Kanhe", "serverAuth")
        certificate(parties, node.path("https"), subject, f"extendedKeyUsage = {usage}", f"subjectAltName = IP:{node.address}, IP:127.0.0.1, IP:::1, DNS:localhost")
        certificate(links, node.path("link"), f"/CN={node.member}", "extendedKeyUsage = serverAuth, clientAuth")
        for authority_ in (parties, links):
            shutil.copy(authority_ + ".pem", node.home)


def is_complete(cluster):
    return read_json(cluster.path("genesis.json")) is not None
