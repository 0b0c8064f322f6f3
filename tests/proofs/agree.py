"""agree: both checkers over the same receipts, good, damaged and lying; and the second one against vectors from outside. TAP."""
import base64
import datetime
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_receipt as c  # noqa: E402

SEED = os.environ.get("SEED", "1")
DAMAGES = os.environ.get("DAMAGES", "6000")
count = failed = 0


def report(fine, what, more=""):
    global count, failed
    count += 1
    failed += not fine
    print("%sok %d - %s" % ("" if fine else "not ", count, what), flush=True)
    if not fine and more:
        print("# " + more, flush=True)


def verdict(data, genesis):
    try:
        said = c.check(data, c.read_genesis(genesis))
    except c.Wrong as wrong:
        return wrong.args[0]
    return "proven %(bank)d %(financing)d %(operation)s %(outcome)d %(height)d" % said


def agree():
    proven, refused, differing, slipped = 0, {}, [], []
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run([os.environ["CASES"], folder, SEED, DAMAGES], capture_output=True, text=True, check=True)
        worlds = {}
        for line in run.stdout.splitlines():
            nth, what, at, cut, put, ours = line.split(" ", 5)
            if nth not in worlds:
                worlds[nth] = [open(os.path.join(folder, nth + suffix), "rb").read() for suffix in (".receipt", ".genesis")]
            data, genesis = worlds[nth]

            def damaged(old, at=int(at), cut=int(cut), put=b"" if put == "-" else bytes.fromhex(put)):
                return old[:at] + put + old[at + cut:]

            if what == "receipt":
                data = damaged(data)
            else:
                genesis = damaged(genesis)
            theirs = verdict(data, genesis)
            if ours.startswith("proven") and what == "receipt" and (cut, put) != ("0", "-"):
                slipped.append(line[:200])
            if theirs != ours:
                differing.append("SEED=%s: %s: %s" % (SEED, line[:200], theirs))
            if ours.startswith("proven"):
                proven += 1
            else:
                refused[ours] = refused.get(ours, 0) + 1
    print("# %d proven, %d not: %s" % (proven, sum(refused.values()), refused))
    report(not differing, "both checkers say the same of %d receipts" % (proven + sum(refused.values())), "; ".join(differing[:5]))
    report(not slipped, "no damaged receipt is proven", "; ".join(slipped[:5]))
    report(proven >= 8, "the good ones are proven", str(proven))
    steps = {"genesis", "form", "chain", "entry", "app_hash", "hubs", "attestations", "output", "payload", "validators", "commit", "hub_signatures"}
    report(set(refused) == steps, "each step refused some", str(steps ^ set(refused)))


def vectors():
    # RFC 8032, 7.1, TEST 2 and a changed one
    key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
    report(c.ed25519_good(key, b"\x72", signature) and not c.ed25519_good(key, b"\x73", signature), "Ed25519 as in RFC 8032")
    high = signature[:32] + (int.from_bytes(signature[32:], "little") + c.L).to_bytes(32, "little")
    report(not c.ed25519_good(key, b"\x72", high), "Ed25519: S above L is refused")
    # GB/T 32905, annex A
    report(c.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0", "SM3 as in GB/T 32905")
    # CometBFT v0.40.0: types/block_test.go TestHeaderHash
    header = {name: c.H(name.encode()) for name in c.HASHES}
    header.update(version_block=1, version_app=2, height=3, time_s=1570983284, time_ns=0, proposer=c.H(b"proposer_address")[:20],
                  last_block_id={"hash": bytes(32), "total": 6, "part_hash": bytes(32)})
    report(c.header_hash(header, b"chainId").hex().upper() == "F740121F553B5418C3EFBD343C2DBFE9E007BB67B0D020A0741374BAB65242A4", "a header's hash as upstream's")
    # headers and their commits as CometBFT v0.40.0 nodes gave them: one of power 1, one of ours
    for kind in ("", "_3"):
        golden(kind)


def golden(kind):
    real = {}
    for name in ("commit", "validators"):
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "comet", name + kind + ".json"), encoding="ascii") as f:
            real.update(json.load(f)["result"])

    def time(text):
        whole, _, fraction = text.rstrip("Z").partition(".")
        moment = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
        return {"time_s": int(moment.timestamp()), "time_ns": int(fraction.ljust(9, "0")) if fraction else 0}

    def block(b):
        return {"hash": bytes.fromhex(b["hash"]), "total": b["parts"]["total"], "part_hash": bytes.fromhex(b["parts"]["hash"])}

    h, commit, validator = real["signed_header"]["header"], real["signed_header"]["commit"], real["validators"][0]
    header = {name: bytes.fromhex(h[name]) for name in c.HASHES}
    header.update(time(h["time"]), version_block=int(h["version"]["block"]), version_app=int(h["version"].get("app", 0)), height=int(h["height"]),
                  proposer=bytes.fromhex(h["proposer_address"]), last_block_id=block(h["last_block_id"]))
    chain_id, key = h["chain_id"].encode(), base64.b64decode(validator["pub_key"]["value"])
    report(c.header_hash(header, chain_id) == bytes.fromhex(commit["block_id"]["hash"]), "a real header's hash" + kind)
    report(c.set_hash([key], *([] if kind else [int(validator["voting_power"])])) == header["validators_hash"] and c.address(key).hex().upper() == validator["address"],
           "a real validator set's hash and address" + kind)
    given = commit["signatures"][0]
    message = c.sign_bytes(chain_id, int(commit["height"]), {"round": commit["round"], "block_id": block(commit["block_id"])}, time(given["timestamp"]))
    report(c.ed25519_good(key, message, base64.b64decode(given["signature"])), "a real precommit's signature" + kind)


print("1..14", flush=True)
vectors()
agree()
sys.exit(failed != 0)
