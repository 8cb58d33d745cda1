"""Plays the thief: signs leaves with the stolen issuer key.

forge.py CERTS_DIR OUT_DIR writes LEAF.pem and LEAF.key for each leaf below, and LEAF.root.pem and LEAF.issuer.pem: what
it is to be verified with. The control leaves hang on an authority without constraints; they show that a verifier
would have taken the evil ones if it were not for the constraints.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = x509.DNSName("bank.example")
ADDRESS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
STOLEN = {"good": x509.DNSName("api.openai.com"), "evil-name": NAME, "evil-address": ADDRESS}
CONTROL = {"control-name": NAME, "control-address": ADDRESS}


def main():
    certs, out = map(pathlib.Path, sys.argv[1:3])
    root, issuer = (x509.load_pem_x509_certificate((certs / name).read_bytes()) for name in ("ca.pem", "issuer.pem"))
    issuer_key = serialization.load_pem_private_key((certs / "issuer-key.pem").read_bytes(), None)
    write(out, STOLEN, root, issuer, issuer_key)
    write(out, CONTROL, *free_authority())


def write(out, leaves, root, issuer, issuer_key):
    for name, wanted in leaves.items():
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = sign(wanted, key, issuer, issuer_key)
        for suffix, certificate in (("pem", leaf), ("issuer.pem", issuer), ("root.pem", root)):
            (out / f"{name}.{suffix}").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (out / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def free_authority():
    """A root and an issuer like ours, but without name constraints."""
    root_key, issuer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root_name, issuer_name = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Control root", "Control issuer")
    )
    root = authority(root_name, root_key, 1, root_name, root_key)
    return root, authority(issuer_name, issuer_key, 0, root_name, root_key), issuer_key


def authority(subject, key, path_length, signer, signer_key):
    return (
        blank(subject, key, signer, signer_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage(key_cert_sign=True, crl_sign=True), critical=True)
        .sign(signer_key, hashes.SHA256())
    )


def sign(wanted, key, issuer, issuer_key):
    """A leaf without any other flaw, so that a refusal can only be for its name."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(wanted.value))])
    return (
        blank(subject, key, issuer.subject, issuer.public_key(), issuer)
        .add_extension(x509.SubjectAlternativeName([wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(usage(digital_signature=True), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def blank(subject, key, signer, signer_key, signer_certificate=None):
    now = datetime.datetime.now(datetime.timezone.utc)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer_key)
    if signer_certificate is not None:
        own = signer_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        identifier = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=12))
        .not_valid_after(now + datetime.timedelta(days=6))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier, critical=False)
    )


def usage(**wanted):
    every = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in every.split()})


main()
