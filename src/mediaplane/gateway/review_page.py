"""The page of a review link: a player and a form, without scripts, of one document.

Everything that contributors or validators wrote is text here, whatever it looks like.
"""

from html import escape
from urllib.parse import urlsplit

from mediaplane.catalog.reviews import REASONS
from mediaplane.gateway.review_views import LinkedReview, MediaView

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "video,img,audio{max-width:100%;width:100%}fieldset{border:1px solid #999;margin:1rem 0}"
    "label{display:block}textarea{width:100%}button{font:inherit;padding:.5rem 1rem}"
    "pre{white-space:pre-wrap;font:inherit}"
)
_VERDICTS = {"approve": "Approve", "needs_changes": "Ask for changes", "reject": "Reject"}
_DONE = {
    "approve": "It is approved.",
    "needs_changes": "The contributor is asked to send it in again.",
    "reject": "It is rejected.",
}


def page_headers(media_url: str) -> dict[str, str]:
    """Return what lets the page show its media and send its form, and nothing else."""
    place = urlsplit(media_url)
    source = f"'self' {place.scheme}://{place.netloc}" if place.netloc else "'self'"
    policy = (
        f"default-src 'none'; img-src {source}; media-src {source}; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    return {"content-security-policy": policy, "cache-control": "no-store", "x-robots-tag": "noindex"}


def write_page(view: LinkedReview, *, action: str) -> str:
    """Return the page that shows a submission; `action` is where its form is sent."""
    form = _form(action) if view.may_decide else "<p>This link is for looking only.</p>"
    asked = f"<pre>{escape(view.instructions)}</pre>" if view.instructions else ""
    ends = f"<p>This page can be opened until {view.expires_at:%Y-%m-%d %H:%M} UTC.</p>"
    return _document(view.title, f"<h1>{escape(view.title)}</h1>{asked}{_player(view.media)}{form}{ends}")


def write_done(verdict: str) -> str:
    """Return the page that thanks for a decision."""
    return _document("Thank you", f"<h1>Thank you</h1><p>{_DONE[verdict]}</p>")


def _player(media: MediaView) -> str:
    played = escape(media.playback_url or media.original_url)
    if media.kind == "image":  # the picture that was made of it: browsers do not show every format
        return f'<img src="{played}" alt="{escape(media.title)}">'
    element = "audio" if media.kind == "audio" else "video"
    return (
        f'<{element} src="{escape(media.original_url)}" controls preload="metadata"></{element}>'
        f'<p>If it does not play here: <a href="{played}">open it in a player of HLS</a>.</p>'
    )


def _form(action: str) -> str:
    verdicts = "".join(
        f'<label><input type="radio" name="verdict" value="{name}" required> {text}</label>'
        for name, text in _VERDICTS.items()
    )
    reasons = "".join(
        f'<label><input type="checkbox" name="reason_codes" value="{code}"> {escape(text)}</label>'
        for code, text in REASONS.items()
    )
    return (
        f'<form method="post" action="{escape(action)}"><fieldset><legend>Decision</legend>{verdicts}</fieldset>'
        f"<fieldset><legend>Why, unless you approve</legend>{reasons}"
        '<label>Note to the contributor<textarea name="note" rows="4" maxlength="5000"></textarea></label></fieldset>'
        "<button>Send</button></form>"
    )


def _document(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>'
