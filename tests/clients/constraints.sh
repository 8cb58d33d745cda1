#!/usr/bin/env bash
# Shows that a stolen issuer key is worth nothing: leaves forged with it are offered to real verifiers.
#
# constraints.sh CERTS_DIR   (with ca.pem, issuer.pem and issuer-key.pem)
#
# Every verifier must accept the leaf for the intercepted host and refuse those for another name and for an address.
# It must also accept both of these when an authority without constraints signed them, which shows that the refusal
# is the constraints' doing. One line per verifier; exit 0 if all were right, 1 if one was wrong, 2 if one is missing.
set -euo pipefail

[ $# -eq 1 ] || { echo "usage: $0 CERTS_DIR" >&2; exit 2; }
certs=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
servers=()
finish() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT
# Neither a proxy nor a trust setting of the caller may decide.
unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE
unset NODE_EXTRA_CA_CERTS NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS

missing=0
need() { # command, Debian package
    command -v "$1" >/dev/null && return
    echo "missing: $1 (Debian package $2)" >&2
    missing=1
}
need openssl openssl
need curl curl
need python3 python3-venv
need node nodejs
need gnutls-cli gnutls-bin
need java openjdk-17-jdk-headless
need keytool openjdk-17-jdk-headless
[ $missing -eq 0 ] || exit 2

venv=${TOLLGATE_VENV:-$work/venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import cryptography' 2>/dev/null || "$venv/bin/pip" install --quiet cryptography
"$venv/bin/python" "$here/forge.py" "$certs" "$work"

leaves=(good evil-name evil-address control-name control-address)
declare -A host=([good]=api.openai.com [evil-name]=bank.example [evil-address]=127.0.0.1
    [control-name]=bank.example [control-address]=127.0.0.1)
declare -A wanted=([good]=accepted [evil-name]=refused [evil-address]=refused
    [control-name]=accepted [control-address]=accepted)
declare -A port

serve() { # leaf; sets port[leaf]
    : >"$work/$1.server"
    openssl s_server -www -accept 127.0.0.1:0 -cert "$work/$1.pem" -key "$work/$1.key" \
        -cert_chain "$work/$1.issuer.pem" >>"$work/$1.server" 2>&1 </dev/null &
    servers+=($!)
    for _ in $(seq 100); do
        port[$1]=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$work/$1.server")
        [ -n "${port[$1]}" ] && return
        sleep 0.05
    done
    echo "openssl s_server did not start:" >&2
    cat "$work/$1.server" >&2
    exit 2
}

# Each verifier is called with leaf, host, port and root; its last line begins with `accepted` or `refused`.

verify_openssl() {
    local check=-verify_hostname
    [[ $2 =~ ^[0-9.]+$ ]] && check=-verify_ip
    if openssl verify -no-CApath -no-CAstore -CAfile "$4" -untrusted "$work/$1.issuer.pem" -purpose sslserver \
        "$check" "$2" "$work/$1.pem"; then echo accepted; else echo refused; fi
}

verify_curl() {
    local status=0
    curl -q --silent --show-error --output /dev/null --max-time 20 --cacert "$4" --resolve "$2:$3:127.0.0.1" \
        "https://$2:$3/" || status=$?
    case $status in
        0) echo accepted ;;
        60) echo refused ;;
        *) echo "broken: exit status $status" ;;
    esac
}

python_probe='
import socket, ssl, sys
_, name, port, root, partial = sys.argv
trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
trust.load_verify_locations(root)
trust.verify_flags |= ssl.VERIFY_X509_STRICT
if partial == "partial":
    trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
else:
    trust.verify_flags &= ~ssl.VERIFY_X509_PARTIAL_CHAIN
try:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=20) as plain:
        trust.wrap_socket(plain, server_hostname=name).close()
    print("accepted")
except ssl.SSLCertVerificationError as refused:
    print("refused:", refused.verify_message)
'
verify_python() { "$venv/bin/python" -c "$python_probe" "$2" "$3" "$4" whole; }
# The default of Python 3.13 and later.
verify_python_partial() { "$venv/bin/python" -c "$python_probe" "$2" "$3" "$4" partial; }

node_probe='
const [name, port, root] = process.argv.slice(1);
const ca = require("fs").readFileSync(root);
const servername = require("net").isIP(name) ? undefined : name;
const options = { host: "127.0.0.1", port, ca, servername };
const socket = require("tls").connect(options, () => { console.log("accepted"); socket.destroy(); });
socket.setTimeout(20000, () => { console.log("broken: no answer"); socket.destroy(); });
// Only errors of the network itself come from a system call.
socket.on("error", (refused) => console.log(refused.syscall ? "broken:" : "refused:", refused.code, refused.message));
'
verify_node() { node -e "$node_probe" "$2" "$3" "$4"; }

verify_gnutls() {
    local sni=()
    [[ $2 =~ ^[0-9.]+$ ]] || sni=(--sni-hostname "$2")
    timeout 20 gnutls-cli --x509cafile "$4" --port "$3" "${sni[@]}" --verify-hostname "$2" 127.0.0.1 \
        </dev/null >"$work/gnutls" 2>&1 || true
    cat "$work/gnutls"
    if grep -q 'The certificate is trusted' "$work/gnutls"; then
        echo accepted
    elif grep -q 'The certificate is NOT trusted' "$work/gnutls"; then
        echo refused
    fi
}

verify_java() {
    local store=$work/$1.p12
    [ -e "$store" ] || keytool -importcert -noprompt -alias root -file "$4" -keystore "$store" -storetype PKCS12 \
        -storepass changeit >/dev/null 2>&1
    timeout 60 java -Djavax.net.ssl.trustStore="$store" -Djavax.net.ssl.trustStoreType=PKCS12 \
        -Djavax.net.ssl.trustStorePassword=changeit "$here/Probe.java" "$2" "$3"
}

for leaf in "${leaves[@]}"; do serve "$leaf"; done

wrong=0
for verifier in openssl curl python python_partial node gnutls java; do
    line=""
    flaw=0
    for leaf in "${leaves[@]}"; do
        said=$("verify_$verifier" "$leaf" "${host[$leaf]}" "${port[$leaf]}" "$work/$leaf.root.pem" 2>&1) || true
        verdict=$(tail -n 1 <<<"$said" | cut -d ' ' -f 1 | tr -d :)
        line+=" $leaf $verdict;"
        if [ "$verdict" != "${wanted[$leaf]}" ]; then
            flaw=1
            printf '%s: %s should have been %s:\n%s\n' "$verifier" "$leaf" "${wanted[$leaf]}" "$said" >&2
        fi
    done
    if [ $flaw -eq 0 ]; then word=ok; else word=WRONG wrong=1; fi
    printf '%-15s %-5s%s\n' "$verifier" "$word" "${line%;}"
done
exit $wrong
