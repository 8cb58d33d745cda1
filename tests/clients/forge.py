"""Plays the thief: signs leaves with the stolen issuer key.

forge.py CERTS_DIR OUT_DIR writes NAME.pem (leaf and issuer) and NAME.key for each of the leaves below.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# What the authority was made for, and what a thief would like to have.
LEAVES = {
    "good": x509.DNSName("api.openai.com"),
    "evil-name": x509.DNSName("bank.example"),
    "evil-address": x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
}


def main():
    certs, out = map(pathlib.Path, sys.argv[1:3])
    issuer = x509.load_pem_x509_certificate((certs / "issuer.pem").read_bytes())
    issuer_key = serialization.load_pem_private_key((certs / "issuer-key.pem").read_bytes(), None)
    chain = issuer.public_bytes(serialization.Encoding.PEM)
    for name, wanted in LEAVES.items():
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = sign(wanted, key, issuer, issuer_key)
        (out / f"{name}.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM) + chain)
        (out / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def sign(wanted, key, issuer, issuer_key):
    """A leaf without any other flaw, so that a refusal can only be for its name."""
    now = datetime.datetime.now(datetime.timezone.utc)
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(wanted.value))]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=6))
        .add_extension(x509.SubjectAlternativeName([wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return builder.sign(issuer_key, hashes.SHA256())


main()
