"""Hand-made mails, as the programs that clients use make them, and the pieces that odd ones are made of."""

from tests.message.mime_helpers import crlf

PLAIN = "Content-Type: text/plain\n\nHello"
CSV = 'Content-Type: text/csv\nContent-Disposition: attachment; filename="a.csv"\n\nx,y\n1,2'


def mixed(*parts: str, top: str = "", boundary: str = "b", close: str = "\n--b--\n") -> bytes:
    """Return a multipart/mixed mail; ``top`` are further header lines."""
    content_type = f'Content-Type: multipart/mixed; boundary="{boundary}"\n'
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return crlf(f"From: a@example.com\n{content_type}{top}\n{body.removesuffix(chr(10))}{close}")


def part(disposition: str = "", content_type: str = "", encoding: str = "", body: str = "x,y") -> str:
    """Return one part; empty fields are left out."""
    fields = (
        ("Content-Type", content_type),
        ("Content-Disposition", disposition),
        ("Content-Transfer-Encoding", encoding),
    )
    return "".join(f"{name}: {value}\n" for name, value in fields if value) + "\n" + body


def single(headers: str, body: str = "Hello\n") -> bytes:
    """Return a mail without parts."""
    return crlf(f"From: a@example.com\n{headers}\n\n{body}")


OUTLOOK = crlf("""\
Received: from x ([10.0.0.1])
From: =?iso-8859-1?Q?J=F6rg?= <joerg@example.com>
To: in@example.net
Subject: =?utf-8?B?VW1zw6R0emUg?= =?utf-8?B?SmFudWFy?=
Message-ID: <AM0PR01@example.com>
X-Auto-Response-Suppress: All
Content-Language: de-DE
Content-Type: multipart/related; boundary="_004_AM0PR01_";
\ttype="multipart/alternative"
MIME-Version: 1.0

--_004_AM0PR01_
Content-Type: multipart/alternative;
\tboundary="_000_AM0PR01_"

--_000_AM0PR01_
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

Gr=FC=DFe

--_000_AM0PR01_
Content-Type: text/html; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

<img src=3D"cid:image001.png@01D9.A=
BCD">

--_000_AM0PR01_--

--_004_AM0PR01_
Content-Type: image/png; name="image001.png"
Content-Description: image001.png
Content-Disposition: inline; filename="image001.png"; size=3;
\tcreation-date="Fri, 01 Jan 2026 10:00:00 GMT"
Content-ID: <image001.png@01D9.ABCD>
Content-Transfer-Encoding: base64

QUJD

--_004_AM0PR01_
Content-Type: application/vnd.ms-excel;
\tname="=?utf-8?B?VW1zw6R0emUuY3N2?="
Content-Disposition: attachment;
\tfilename="=?utf-8?B?VW1zw6R0emUuY3N2?="; size=8
Content-Transfer-Encoding: base64

eCx5DQox
LDI=

--_004_AM0PR01_--
""")

APPLE = crlf("""\
From: A <a@example.com>
Content-Type: multipart/alternative;
 boundary="Apple-Mail=_1"
Mime-Version: 1.0 (Mac OS X Mail 16.0 \\(3731\\))

--Apple-Mail=_1
Content-Transfer-Encoding: 7bit
Content-Type: text/plain;
\tcharset=us-ascii

Hi
--Apple-Mail=_1
Content-Type: multipart/mixed;
\tboundary="Apple-Mail=_12"

--Apple-Mail=_12
Content-Type: text/html; charset=us-ascii

<p>Hi
--Apple-Mail=_12
Content-Disposition: inline;
\tfilename*=utf-8''Conversions%20Ma%CC%88rz.csv
Content-Type: text/csv;
\tx-unix-mode=0644;
\tname="=?utf-8?Q?Conversions_Ma=CC=88rz.csv?="
Content-Transfer-Encoding: quoted-printable

a,b=
,c
--Apple-Mail=_12--

--Apple-Mail=_1--
""")

GMAIL = crlf("""\
MIME-Version: 1.0
From: A <a@example.com>
Message-ID: <CAF@mail.gmail.com>
Content-Type: multipart/mixed; boundary="0000000000001"

--0000000000001
Content-Type: multipart/alternative; boundary="0000000000002"

--0000000000002
Content-Type: text/plain; charset="UTF-8"

Hi

--0000000000002
Content-Type: text/html; charset="UTF-8"

<div dir="ltr">Hi</div>

--0000000000002--
--0000000000001
Content-Type: text/csv; charset="US-ASCII"; name="Conversions_2026.csv"
Content-Disposition: attachment; filename="Conversions_2026.csv"
Content-Transfer-Encoding: base64
Content-ID: <f_1>
X-Attachment-Id: f_1

eCx5
--0000000000001--""")

EXCHANGE_FORWARD = crlf("""\
From: a@example.com
Content-Type: multipart/mixed; boundary="o"

--o
Content-Type: text/plain

see below
--o
Content-Type: message/rfc822
Content-Disposition: attachment; filename="Re: file.eml"

From: b@example.com
Subject: inner
Content-Type: multipart/mixed; boundary="i"

--i

first
--i
Content-Type: text/csv; name=in.csv
Content-Transfer-Encoding: base64

eCx5
--i--

--o
Content-Type: text/plain; name="ATT00001.txt"
Content-Disposition: attachment; filename="ATT00001.txt"

footer
--o--
""")

MUTT = crlf("""\
From: a@example.com
Content-Type: multipart/signed; micalg=pgp-sha256;
\tprotocol="application/pgp-signature"; boundary="sig"

--sig
Content-Type: multipart/mixed; boundary="in"
Content-Disposition: inline

--in
Content-Type: text/plain; charset=us-ascii
Content-Disposition: inline

Hi
--in
Content-Type: text/csv
Content-Disposition: attachment; filename*=utf-8'de'%C3%BCber.csv

1
--in--

--sig
Content-Type: application/pgp-signature; name="signature.asc"

-----BEGIN PGP SIGNATURE-----
--sig--
""")

SCRIPT = b"From: cron@example.com\nAuto-Submitted: auto-generated\nContent-Disposition: filename=x.csv\n\na,b\n1,2\n"
