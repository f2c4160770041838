"""Forms as browsers send them, read as they come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaplane.errors import LinkInvalid, UploadTooLarge
from mediaplane.gateway.forms import MAX_FIELD_BYTES, limited, read_form

TYPE = "multipart/form-data; boundary=XX"


def form_of(fields: dict[str, bytes], file: bytes | None) -> bytes:
    sent = [
        b'--XX\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (n.encode(), v) for n, v in fields.items()
    ]
    if file is not None:
        head = (
            b'--XX\r\nContent-Disposition: form-data; name="file"; filename="blob"\r\nContent-Type: video/mp4\r\n\r\n'
        )
        sent.append(head + file + b"\r\n")
    return b"".join(sent) + b"--XX--\r\n"


async def cut(body: bytes, size: int):
    for start in range(0, len(body), size):
        yield body[start : start + size]


@given(st.binary(max_size=2000), st.integers(1, 700))
@settings(max_examples=60)
async def test_form_in_any_pieces(file, size):
    """Fields and bytes are those that were sent, however the network cuts them."""
    body = form_of({"key": b"a/b.mp4", "Content-Type": b"video/mp4"}, file)
    form = await read_form(TYPE, cut(body, size))
    assert form.fields == {"key": "a/b.mp4", "content-type": "video/mp4"}
    assert b"".join([piece async for piece in form.file]) == file


async def test_form_that_is_too_large():
    """It ends with an error as soon as it is."""
    form = await read_form(TYPE, cut(form_of({}, b"x" * 101), 10))
    with pytest.raises(UploadTooLarge):
        _ = [piece async for piece in limited(form.file, 100)]


async def test_form_that_is_cut_off():
    """Bytes that end in the middle are no file."""
    form = await read_form(TYPE, cut(form_of({}, b"x" * 1000)[:500], 100))
    with pytest.raises(LinkInvalid):
        _ = [piece async for piece in form.file]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b""),
        ("multipart/form-data", b""),
        (TYPE, b""),
        (TYPE, b"nonsense" * 100),
        (TYPE, form_of({"key": b"x"}, None)),
        (TYPE, form_of({"key": b"x" * (MAX_FIELD_BYTES + 1)}, b"y")),
        (TYPE, form_of({f"f{n}": b"x" for n in range(100)}, b"y")),
    ],
)
async def test_form_that_is_none(content_type, body):
    """What is no form, has no file or too much before it, is refused."""
    with pytest.raises(LinkInvalid):
        await read_form(content_type, cut(body, 1000))
