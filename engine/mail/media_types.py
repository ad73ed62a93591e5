"""Guesses the media type of a file from its name.

Pure: it uses the standard library's built-in table and the few entries below, never the machine's own mime.types, so
the same name gives the same type everywhere. Unknown names give application/octet-stream.
"""

from __future__ import annotations

from mimetypes import MimeTypes

OCTET_STREAM = "application/octet-stream"

_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN = "application/vnd.oasis.opendocument."
_MORE = {
    ".7z": "application/x-7z-compressed",
    ".br": OCTET_STREAM,
    ".bz2": "application/x-bzip2",
    ".docx": _OFFICE + "wordprocessingml.document",
    ".eml": "message/rfc822",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".ics": "text/calendar",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".odp": _OPEN + "presentation",
    ".ods": _OPEN + "spreadsheet",
    ".odt": _OPEN + "text",
    ".ogg": "audio/ogg",
    ".pptx": _OFFICE + "presentationml.presentation",
    ".rar": "application/vnd.rar",
    ".rtf": "application/rtf",
    ".vcf": "text/vcard",
    ".webp": "image/webp",
    ".xlsx": _OFFICE + "spreadsheetml.sheet",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
}
_TYPES = {**MimeTypes().types_map[1], **_MORE}


def guess_media_type(filename: str) -> str:
    """The media type for `filename` by its last extension, in lower case."""
    stem, dot, extension = filename.rpartition(".")
    return _TYPES.get(dot + extension.lower(), OCTET_STREAM) if stem else OCTET_STREAM
