"""ffmpeg filters that make any picture plain: whole frames, in the brightness and colours of ordinary screens."""

from mediaplane.pipeline.tools.results import VideoStream

WHITE_NITS = 203  # of HDR's reference white, which becomes white. Source: ITU-R BT.2408, table 1
PEAK = 5  # times white: brighter light, about 1,000 cd/m², is cut off
_TRANSFERS = {"pq": "smpte2084", "hlg": "arib-std-b67"}


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
