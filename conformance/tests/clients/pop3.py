"""Logs in by Python's poplib, and writes the first message to standard output.

Whoever is refused gets the refusal on standard error, and exit code 67, as by curl.
"""

import poplib
import ssl
import sys

security, mechanism, host, port, certificate, user, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=certificate)
# A certificate that is its own authority need not name the key of another (RFC 5280 section 4.2.1.1).
trust.verify_flags &= ~ssl.VERIFY_X509_STRICT

if security == "Tls":
    pop3 = poplib.POP3_SSL(host, int(port), context=trust, timeout=20)
else:
    pop3 = poplib.POP3(host, int(port), timeout=20)
if security == "StartTls":
    pop3.stls(trust)

try:
    if mechanism == "USER and PASS":
        pop3.user(user)
        pop3.pass_(password)
    elif mechanism == "APOP":
        pop3.apop(user, password)
    else:
        sys.exit(f"{mechanism}?")
except poplib.error_proto as refusal:
    print(refusal, file=sys.stderr)
    sys.exit(67)

count, octets = pop3.stat()
assert count == 1, count
answer, messages, _ = pop3.list()
assert messages == [f"1 {octets}".encode()], (answer, messages)
answer, lines, _ = pop3.retr(1)
sys.stdout.buffer.write(b"".join(line + b"\r\n" for line in lines))
pop3.quit()
