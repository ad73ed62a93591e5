"""One MIME part: its header and its body, encoded in seven bits (RFC 2045, RFC 2046).

Any SMTP server can take these bodies: ASCII, CRLF only, lines of at most 998 octets (76 if encoded). Text that already
satisfies that is not encoded; other text becomes quoted-printable or base64, whichever is shorter. Attachments are
base64 and decode to exactly the same octets. Names and content types that a header cannot carry raise `HeaderError`. A
message that may not be embedded as message/rfc822 is sent as application/octet-stream, not encoded illegally.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from engine.mail.header_encoding import old_parameter, parameter
from engine.mail.header_writing import LONGEST_LINE, HeaderError, check_text, fold
from engine.mail.media_types import OCTET_STREAM, guess_media_type

Disposition = Literal["attachment", "inline"]


class AttachedFile(msgspec.Struct, frozen=True):
    """An attached file.

    `content_type` None: guessed from `filename`. `cid` is the content id, with or without angle brackets; an inline
    attachment that has one goes into the multipart/related of the HTML. `disposition` None: "inline" with a `cid`, none
    for an invitation, else "attachment".
    """

    content: bytes
    filename: str | None = None
    content_type: str | None = None
    disposition: Disposition | None = None
    cid: str | None = None

    @property
    def is_inline(self) -> bool:
        """Whether it is to be shown within the message."""
        return self.disposition == "inline" or (self.disposition is None and self.cid is not None)


class MimePart(msgspec.Struct, frozen=True):
    """`header` includes its CRLFs but no blank line; the body has no CRLF added at its end.

    A multipart has `parts` and a `boundary`. `content` is the body of any other part; if `encoded`, the octets that
    become base64, in which no boundary can occur: a delimiter begins with two hyphens, base64 has none. They are
    encoded only as `pieces` are taken, so that a large file is in memory once beside the message.
    """

    header: str
    content: bytes = b""
    encoded: bool = False
    parts: tuple[MimePart, ...] = ()
    boundary: str = ""

    def pieces(self) -> Iterator[tuple[MimePart, bytes]]:
        """The body, piece by piece, each with the part that it belongs to; what is between parts is the multipart's."""
        if self.encoded:
            for piece in base64_pieces(self.content):
                yield self, piece
        elif not self.parts:
            yield self, self.content
        else:
            for part in self.parts:
                yield self, f"--{self.boundary}\r\n{part.header}\r\n".encode("ascii")
                yield from part.pieces()
                yield self, b"\r\n"
            yield self, f"--{self.boundary}--\r\n".encode("ascii")


_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"
_MEDIA_TYPE = re.compile(rf'({_TOKEN}/{_TOKEN})((?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[^"\\]*"))*)[ \t]*;?[ \t]*')
_NEXT_PARAMETER = ";\r\n "
_MEDIA_PARAMETER = re.compile(rf'({_TOKEN})=({_TOKEN}|"[^"\\]*")')
_LONGEST_MEDIA_TYPE = 256
_PRINTABLE = re.compile(r"[ -~]*")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,256}")

# RFC 2045 §2.7 allows more, but other control characters do not survive every gateway.
_SEVEN_BIT = bytes([9, 10, 13, *range(32, 127)])
_LINE_OCTETS = 57
_BLOCK_LINES = 512
_BLOCK_OCTETS = 64 * 1024
_BLOCK = struct.Struct("76s" * _BLOCK_LINES)


def text_part(subtype: str, text: str) -> MimePart:
    """`text/<subtype>` in UTF-8; every line end of `text` (CRLF, lone CR, lone LF) becomes CRLF."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\n", "\r\n")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        # Half an emoji, left by a program that cut the text: use a replacement character instead of refusing it.
        data = text.encode(errors="surrogatepass").decode(errors="replace").encode()
    encoding, content = _encode_text(data)
    header = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n"
    return MimePart(header, content, encoded=encoding == "base64")


def _encode_text(data: bytes) -> tuple[str, bytes]:
    """The encoding, and the encoded text; for base64, the text that is yet to be encoded."""
    if not data.translate(None, _SEVEN_BIT) and longest_line(data) <= LONGEST_LINE:
        return "7bit", data
    base64_length = (len(data) + 2) // 3 * 4
    most = base64_length + base64_length // 76 * 2
    if len(data) + 2 * len(data.translate(None, _SEVEN_BIT)) <= most:
        quoted = quoted_printable(data)
        if len(quoted) <= most:
            return "quoted-printable", quoted
    return "base64", data


def quoted_printable(data: bytes) -> bytes:
    """Text with CRLF line ends as quoted-printable (RFC 2045 section 6.7)."""
    return b"".join(map(_quoted, _blocks(data)))


def _quoted(block: bytes) -> bytes:
    quoted = binascii.b2a_qp(block, istext=True)
    if b"\r\n" not in block:
        # Without a CRLF to copy, b2a_qp ends its soft line breaks with a bare LF.
        quoted = quoted.replace(b"=\n", b"=\r\n")
    return quoted


def _blocks(data: bytes) -> Iterator[bytes]:
    """`data` in blocks of whole lines, so that work on one of them does not delay other tasks."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at + _BLOCK_OCTETS) + 1 or len(data)
        yield data[at:end]
        at = end


def longest_line(data: bytes) -> int:
    """Octets of the longest line, without its CRLF."""
    if len(data) <= LONGEST_LINE:
        return len(data)
    return max(map(_longest_of, _blocks(data)))


def _longest_of(block: bytes) -> int:
    return max(map(len, block.split(b"\r\n")))


def base64_pieces(data: bytes) -> Iterator[bytes]:
    """Base64 in lines of 76 characters, CRLF between them and none at the end."""
    step = _LINE_OCTETS * _BLOCK_LINES
    whole = len(data) - len(data) % step
    view = memoryview(data)
    for at in range(0, whole, step):
        lines = _BLOCK.unpack(binascii.b2a_base64(view[at : at + step], newline=False))
        yield b"\r\n".join(lines if at + step == len(data) else (*lines, b""))
    tail = binascii.b2a_base64(view[whole:], newline=False)
    yield b"\r\n".join([tail[at : at + 76] for at in range(0, len(tail), 76)])


def attachment_part(attachment: AttachedFile, field: str) -> MimePart:
    """The part for one attachment; `field` (`attachments[0]`) is the prefix of the name in a `HeaderError`."""
    filename = attachment.filename or ""
    check_text(filename, f"{field}.filename")
    media_type, parameters = _media_type(attachment, filename, f"{field}.contentType")
    content, encoding = attachment.content, "base64"
    if media_type.startswith("message/"):
        embedded = _embeddable(content)
        if embedded is None:
            media_type, parameters = OCTET_STREAM, []
        else:
            content, encoding = embedded, "7bit"
    elif media_type.startswith("multipart/"):
        # Composite too (RFC 2045 §6.4 forbids base64), and its inner structure cannot be verified here.
        media_type, parameters = OCTET_STREAM, []
    if attachment.disposition not in ("attachment", "inline", None):
        raise HeaderError(f"{field}.contentDisposition", 'must be "attachment" or "inline"')
    if filename and not any(given.lower().startswith(("name=", "name*")) for given in parameters):
        parameters = [*parameters, old_parameter("name", filename)]
    invitation = is_invitation(attachment)
    if invitation and not content.isascii() and not any(given.lower().startswith("charset=") for given in parameters):
        parameters = [*parameters, "charset=utf-8"]
    header = content_field("Content-Type", media_type, parameters)
    header += f"Content-Transfer-Encoding: {encoding}\r\n"
    if attachment.cid is not None:
        header += fold("Content-ID", [f" <{_content_id(attachment.cid, f'{field}.cid')}>"])
    if not invitation or attachment.disposition is not None:
        disposition = "inline" if attachment.is_inline else "attachment"
        header += content_field("Content-Disposition", disposition, parameter("filename", filename) if filename else [])
    if encoding == "7bit":
        return MimePart(header, content)
    return MimePart(header, content, encoded=True)


def is_invitation(attachment: AttachedFile) -> bool:
    """Whether it is an invitation (RFC 6047 section 2.4), which calendars show instead of the text.

    With the disposition "attachment", or as a part that the HTML shows, it is an ordinary file.
    """
    given = (attachment.content_type or "").lower()
    if attachment.disposition == "attachment" or attachment.cid is not None or not given.startswith("text/calendar"):
        return False
    return any(name.lower() == "method" for name, _ in _MEDIA_PARAMETER.findall(given))


def content_field(name: str, value: str, parameters: list[str]) -> str:
    """A Content-Type or Content-Disposition field: the value and its `name=value` parameters, folded between them."""
    pieces = [f" {piece};" for piece in (value, *parameters)]
    pieces[-1] = pieces[-1][:-1]
    return fold(name, pieces)


def _media_type(attachment: AttachedFile, filename: str, field: str) -> tuple[str, list[str]]:
    given = attachment.content_type
    if not given:
        return guess_media_type(filename), []
    check_text(given, field)
    if len(given) > _LONGEST_MEDIA_TYPE:
        raise HeaderError(field, f"is longer than {_LONGEST_MEDIA_TYPE} characters")
    match = _MEDIA_TYPE.fullmatch(given.strip(" \t"))
    if match is None or not _PRINTABLE.fullmatch(given):
        raise HeaderError(field, "is not a media type")
    return match[1].lower(), [f"{name}={value}" for name, value in _MEDIA_PARAMETER.findall(match[2])]


def _embeddable(content: bytes) -> bytes | None:
    """`content` as the body of a message/* part, or None if it may not be one.

    RFC 2046 §5.2.1 allows message/rfc822 no encoding but 7bit, 8bit and binary. 8bit would tie the whole submission to
    servers with 8BITMIME, and binary to those with BINARYMIME, so a message that is not 7bit already is sent as an
    opaque file: readers still open it by its name. A file with LF line ends throughout is the same message.
    """
    if not content.isascii() or b"\0" in content:
        return None
    has_cr = b"\r" in content
    blocks: list[bytes] = []
    for block in _blocks(content):
        if not has_cr:
            block = block.replace(b"\n", b"\r\n")
        bare = block.replace(b"\r\n", b"")
        if b"\r" in bare or b"\n" in bare or longest_line(block) > LONGEST_LINE:
            return None
        blocks.append(block)
    return content if has_cr else b"".join(blocks)


def _content_id(text: str, field: str) -> str:
    check_text(text, field)
    inner = text.strip(" \t")
    if inner.startswith("<") and inner.endswith(">"):
        inner = inner[1:-1]
    if not _CONTENT_ID.fullmatch(inner):
        raise HeaderError(field, "is not a content id: printable ASCII without spaces, at most 256 characters")
    return inner


def multipart(subtype: str, parts: list[MimePart], boundary: str, *parameters: str) -> MimePart:
    """A multipart of `parts` (RFC 2046 §5.1). The caller guarantees that no line in them begins with the delimiter."""
    # Always folded, as most mailers do: the boundary is then alone on its line.
    pieces = [f"multipart/{subtype}", *parameters, f'boundary="{boundary}"']
    return MimePart(f"Content-Type: {_NEXT_PARAMETER.join(pieces)}\r\n", parts=tuple(parts), boundary=boundary)
