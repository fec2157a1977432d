"""Logs in by Python's imaplib, lists the mailboxes, and writes the first message of INBOX to standard output.

Whoever is refused gets the refusal on standard error, and exit code 67, as by curl. For XOAUTH2 and OAUTHBEARER the
password is a token, and why it is refused comes first; for EXTERNAL it is a file with a certificate and its key.
"""

import imaplib
import random
import ssl
import sys

security, mechanism, host, port, certificate, user, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=certificate)
# A certificate that is its own authority need not name the key of another (RFC 5280 section 4.2.1.1).
trust.verify_flags &= ~ssl.VERIFY_X509_STRICT

if mechanism == "EXTERNAL":
    trust.load_cert_chain(password)

messages = {
    "XOAUTH2": f"user={user}\1auth=Bearer {password}\1\1",
    "OAUTHBEARER": f"n,a={user},\1auth=Bearer {password}\1\1",
}


def bearer(challenge):
    """The token, and once it is refused what RFC 7628 section 3.2.3 wants to hear."""
    if challenge:
        print(challenge.decode(), file=sys.stderr)
        return b"\1"
    return messages[mechanism].encode()


random.seed(7)  # tags begin with four letters that are drawn, and should be the same in every recording
if security == "Tls":
    imap = imaplib.IMAP4_SSL(host, int(port), ssl_context=trust, timeout=20)
else:
    imap = imaplib.IMAP4(host, int(port), timeout=20)
if security == "StartTls":
    imap.starttls(trust)

try:
    if mechanism == "LOGIN command":
        imap.login(user, password)
    elif mechanism == "PLAIN":
        imap.authenticate("PLAIN", lambda challenge: f"\0{user}\0{password}".encode())
    elif mechanism == "LOGIN":
        answers = {b"Username:": user.encode(), b"Password:": password.encode()}
        imap.authenticate("LOGIN", lambda challenge: answers[challenge])
    elif mechanism == "CRAM-MD5":
        imap.login_cram_md5(user, password)
    elif mechanism == "EXTERNAL":
        imap.authenticate("EXTERNAL", lambda challenge: user.encode())
    elif mechanism in messages:
        imap.authenticate(mechanism, bearer)
    else:
        sys.exit(f"{mechanism}?")
except imaplib.IMAP4.abort:
    raise  # no refusal, but a lost connection
except imaplib.IMAP4.error as refusal:
    print(refusal, file=sys.stderr)
    sys.exit(67)

answered, mailboxes = imap.list()
assert (answered, mailboxes) == ("OK", [b'(\\HasNoChildren) "." INBOX']), (answered, mailboxes)
answered, count = imap.select("INBOX", readonly=True)
assert (answered, count) == ("OK", [b"1"]), (answered, count)
answered, parts = imap.fetch("1", "(BODY.PEEK[])")
assert answered == "OK", (answered, parts)
sys.stdout.buffer.write(parts[0][1])
imap.logout()
