"""ffmpeg filters that make any picture plain: whole frames, in the brightness and colours of ordinary screens, at
times that do not jump.
"""

from fractions import Fraction

from mediaplane.pipeline.tools.results import Probe, VideoStream

WHITE_NITS = 203  # of HDR's reference white, which becomes white. Source: ITU-R BT.2408, table 1
JUMP_SECONDS = 10  # a longer step is no pause. Source: ffmpeg's dts_delta_threshold
PEAK = 5  # times white: brighter light, about 1,000 cd/m², is cut off
BT709, BT601, BT2020 = 1, 5, 9  # as in ITU-T H.273; libswscale takes the same numbers
_HD_HEIGHT = 720  # a picture that does not name its colours is BT.709 from here on, as players assume
_TRANSFERS = {"pq": "smpte2084", "hlg": "arib-std-b67"}


def may_jump(probe: Probe) -> bool:
    """Tell whether times may begin anew in the middle, as in transport streams that were cut or joined.

    Other containers have one timeline: a hole in it is meant, and stays.
    """
    return not probe.seekable and "mpegts" in probe.container


def steady_times(name: str, frame_rate: Fraction | None) -> str:
    """Return the filter (`setpts` or `asetpts`) that closes jumps: after one, time goes on from where it was.

    ffmpeg's own correction is off with `-copyts`, without which other things drift (see `encode.py`).
    """
    usual = "NB_SAMPLES/SR/TB" if frame_rate is None else f"{frame_rate.denominator}/{frame_rate.numerator}/TB"
    step = f"if(between(PTS-PREV_INPTS,0,{JUMP_SECONDS}/TB),PTS-PREV_INPTS,{usual})"
    return f"{name}='if(isnan(PREV_INPTS),PTS,PREV_OUTPTS+{step})'"


def plain_picture(video: VideoStream) -> list[str]:
    """Return the filters that stand in front of all others. Times stay as they are, in ticks of the stream."""
    return _deinterlaced(video) + _tone_mapped(video)


def _deinterlaced(video: VideoStream) -> list[str]:
    # One frame for each frame; bwdif halves the ticks, and what follows counts in the stream's.
    base = video.time_base
    return ["bwdif=mode=send_frame", f"settb={base.numerator}/{base.denominator}"] if video.interlaced else []


def _tone_mapped(video: VideoStream) -> list[str]:
    """Return how HDR becomes SDR; without it colours look washed out and people gray.

    Source: ffmpeg's documentation of `tonemap`. What the stream does not say about its colours is taken as BT.2020.
    """
    if not video.hdr:
        return []
    color_range = "full" if video.full_range else "limited"
    return [
        f"setparams=color_primaries=bt2020:color_trc={_TRANSFERS[video.hdr]}:colorspace=bt2020nc:range={color_range}",
        f"zscale=transfer=linear:npl={WHITE_NITS}",
        "format=gbrpf32le",
        "zscale=primaries=bt709",
        f"tonemap=mobius:desat=0:peak={PEAK}",
        "zscale=transfer=bt709:matrix=bt709:range=limited",
        "format=yuv420p",
    ]


def color_matrix(video: VideoStream) -> int:
    """Return which matrix turns planes into colours, once `plain_picture` has passed over them."""
    if video.hdr:
        return BT709  # they are tone-mapped
    if video.color_matrix in (BT709, BT601, 6, 7, BT2020, 10):
        return {6: BT601, 10: BT2020}.get(video.color_matrix, video.color_matrix)
    return BT709 if min(video.width, video.height) >= _HD_HEIGHT else BT601


def matrix_name(video: VideoStream) -> str:
    """Return the same matrix as ffmpeg's filter `scale` calls it."""
    return {BT709: "bt709", BT2020: "bt2020", 7: "smpte240m"}.get(color_matrix(video), "bt601")
