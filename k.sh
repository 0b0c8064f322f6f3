p=$1; ip=$2; shift 2
exec /work/wt/abci/build/w/tools/kanhe/kanhe --connect https://127.0.0.$ip:8443 --ca /tmp/town/net/ca.pem --cert /tmp/town/net/parties/$p.pem --key /tmp/town/net/parties/$p.key --json "$@"
