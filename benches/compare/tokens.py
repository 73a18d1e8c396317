"""Makes keys, tokens, the list of revoked ones and a certificate; run by the environment that has PyJWT.

    tokens.py REVOKED ONCE

What is there already stays, unless this file or REVOKED changed.
"""
import concurrent.futures, datetime, hashlib, json, os, shutil, sys, time, uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from works import AUDIENCE, ISSUER, path, write

DAY = 86400
KEYS = {"rs256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), "es256": lambda: ec.generate_private_key(ec.SECP256R1())}
TO_JWK = {"rs256": jwt.algorithms.RSAAlgorithm.to_jwk, "es256": jwt.algorithms.ECAlgorithm.to_jwk}


def private_text(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def token(algorithm, key, jti=None, lives=300 * DAY):
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"user-{uuid.uuid4().hex[:8]}", "jti": jti or str(uuid.uuid4()), "iat": now - 7200,
              "nbf": now - 7200, "exp": now + lives, "type": "access", "azp": "web-frontend", "sid": str(uuid.uuid4()), "tenant": "tenant-0042",
              "scope": "openid profile email orders:read orders:write invoices:read reports:read"}
    return jwt.encode(claims, key, algorithm.upper(), {"kid": algorithm})


def forged(text):
    """The same with another letter in the middle of the signature."""
    at = (text.rindex(".") + len(text)) // 2
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]


def save(name, lines):
    write(name + ".txt", "".join(line + "\n" for line in lines))


def make(revoked):
    gone = [str(uuid.uuid4()) for _ in range(1000)]
    for algorithm, generate in KEYS.items():
        key = generate()
        write(algorithm + ".key", private_text(key))
        public = key.public_key()
        write(algorithm + ".pub", public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode())
        write(algorithm + ".jwks", json.dumps({"keys": [{**json.loads(TO_JWK[algorithm](public)), "kid": algorithm, "alg": algorithm.upper()}]}))
        good = [token(algorithm, key) for _ in range(10_000)]
        save(algorithm + "-good", good)
        save(algorithm + "-hot", good[:1])
        save(algorithm + "-forged", map(forged, good[:1000]))
        save(algorithm + "-expired", [token(algorithm, key, lives=-3600)])
        save(algorithm + "-revoked", (token(algorithm, key, jti) for jti in gone))
        if algorithm == "rs256":
            save("good", good[:2000])  # for the fixed rates of benches/scale
    save("deny", gone + [str(uuid.uuid4()) for _ in range(revoked - len(gone))])
    save("rs256-once", [])


def certificate():
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - datetime.timedelta(1), now + datetime.timedelta(800))
    text = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).sign(key, hashes.SHA256())
    text = text.public_bytes(serialization.Encoding.PEM).decode()
    write("tls.crt", text)
    write("tls.key", private_text(key))
    write("tls.pem", text + private_text(key))


def some(count):
    with open(path("rs256.key")) as file:
        key = serialization.load_pem_private_key(file.read().encode(), None)
    return [token("rs256", key) for _ in range(count)]


def once(count):
    """So many tokens, signed by all processors."""
    with open(path("rs256-once.txt")) as file:
        if sum(1 for _ in file) >= count:
            return
    with concurrent.futures.ProcessPoolExecutor() as signers:
        save("rs256-once", (text for part in signers.map(some, [1000] * (count // 1000)) for text in part))


def main():
    revoked, wanted_once = map(int, sys.argv[1:])
    with open(__file__, "rb") as file:
        stamp = f"{revoked} {hashlib.sha256(file.read()).hexdigest()}"
    if not os.path.exists(path("made")) or open(path("made")).read() != stamp:
        shutil.rmtree(path("stores"), ignore_errors=True)
        make(revoked)
        certificate()
        write("made", stamp)
    if wanted_once:
        once(wanted_once)


if __name__ == "__main__":
    main()
