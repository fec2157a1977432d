"""Logs in by Python's smtplib, and sends the message of standard input.

For XOAUTH2 and OAUTHBEARER the password is a token, and why it is refused comes first; for EXTERNAL it is a file with a
certificate and its key. The mechanism "any" leaves the choice to the library, which tries all that it knows, one after the other. Whoever is refused
gets the refusal on standard error, and exit code 67, as by curl.
"""

import smtplib
import ssl
import sys

security, mechanism, host, port, certificate, user, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=certificate)
# A certificate that is its own authority need not name the key of another (RFC 5280 section 4.2.1.1).
trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
name = "client.example.net"
if mechanism.startswith("EXTERNAL"):
    trust.load_cert_chain(password)

messages = {
    "XOAUTH2": f"user={user}\1auth=Bearer {password}\1\1",
    "OAUTHBEARER": f"n,a={user},\1auth=Bearer {password}\1\1",
}


def bearer(challenge=None):
    """The token, and once it is refused what RFC 7628 section 3.2.3 wants to hear."""
    if challenge:
        print(challenge.decode(), file=sys.stderr)
        return "\1"
    return messages[mechanism]


def external(challenge=None):
    """As whom the certificate's owner wants to act."""
    return user


if security == "Tls":
    smtp = smtplib.SMTP_SSL(host, int(port), name, context=trust, timeout=20)
else:
    smtp = smtplib.SMTP(host, int(port), name, timeout=20)
if security == "StartTls":
    smtp.starttls(context=trust)
smtp.ehlo()

try:
    if mechanism == "any":
        smtp.login(user, password)
    else:
        mechanism, _, later = mechanism.partition(" without initial response")
        assert mechanism in smtp.esmtp_features["auth"].split(), smtp.esmtp_features
        ways = {"PLAIN": smtp.auth_plain, "LOGIN": smtp.auth_login, "CRAM-MD5": smtp.auth_cram_md5}
        ways |= {"XOAUTH2": bearer, "OAUTHBEARER": bearer, "EXTERNAL": external}
        smtp.user, smtp.password = user, password
        smtp.auth(mechanism, ways[mechanism], initial_response_ok=not later)
except smtplib.SMTPAuthenticationError as refusal:
    print(refusal.smtp_code, refusal.smtp_error.decode(), file=sys.stderr)
    sys.exit(67)

refused = smtp.sendmail("barney@example.net", ["fred@example.org"], sys.stdin.buffer.read())
assert refused == {}, refused
smtp.quit()
