"""ffmpeg's arguments, and nothing but arguments: what to encode and how, given what is known of the source.

Why the chunks of one recording join without a gap (each line is a trap that was measured, on ffmpeg 9.0.2):

- `-copyts` and `-fps_mode passthrough` keep each frame's own time; without them 29.97 fps drifts.
- `trim` in ticks of the stream decides which frames are a chunk's. `-ss` only seeks: it may land too early.
- `-output_ts_offset` is the same for all chunks and the sound, and above 0: ffmpeg's offset 0 makes a jump.
- `-bf 0`: frames that are reordered would be shifted, and in chunks of variable rate by unequal times.
- `frag_discont`: without it each chunk's fragments count their time from 0 again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from mediaplane.pipeline.tools.filters import matrix_name, may_jump, plain_picture, steady_times
from mediaplane.pipeline.tools.results import AudioStream, Chunk, Probe, VideoStream
from mediaplane.pipeline.tools.sizes import (
    RenditionSize,
    cropped_size,
    even_below,
    even_side,
    h264_level,
    rendition_ladder,
)

OFFSET_US = 1_000_000  # where time 0 lies in what is played
SEGMENT_SECONDS = 6
AUDIO_BITRATE = "96k"
AUDIO_RATES = (44100, 48000)
MAX_TRACKS = 8  # of sound that can be chosen from
MAX_TICKS_PER_SECOND = 1_000_000  # MP4 keeps durations of frames in 32 bits: finer ticks overflow in seconds
BEST_PROXY_SIDE = 1080
STILL_SIDE = 240  # the longer side of a picture of the scrubbing preview


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Sampled frames: frame `i` of a chunk shows what is on the screen at `times_ms(i)`.

    Samples lie at whole multiples of 1/rate after the first frame of the recording, the same for every chunk:
    one belongs to the chunk in which its time lies.
    """

    rate: Fraction
    first: int  # number of the chunk's first sample
    end: int | None  # number of the next chunk's first sample

    def timestamp_ms(self, position: int) -> int:
        """Return the time of the chunk's sample `position`."""
        return int((self.first + position) * 1000 / self.rate)


def frame_grid(video: VideoStream, chunk: Chunk, frames_per_second: float | Fraction) -> FrameGrid:
    """Return which samples lie in `chunk`."""
    rate = Fraction(str(frames_per_second))

    def number(pts: int) -> int:
        return ceil((pts - video.start_pts) * video.time_base * rate)

    first = 0 if chunk.start_pts is None else number(chunk.start_pts)
    return FrameGrid(rate, first, None if chunk.end_pts is None else number(chunk.end_pts))


def still_grid(video: VideoStream, chunk: Chunk) -> FrameGrid | None:
    """Return which pictures of the scrubbing preview lie in `chunk`; None: none."""
    if not chunk.still_ms:
        return None
    grid = frame_grid(video, chunk, Fraction(1000, chunk.still_ms))
    end = grid.end
    if end is None and chunk.end_us is not None:
        end = max(1, ceil(chunk.end_us * grid.rate / 1_000_000))
    return None if end is not None and end <= grid.first else grid


def still_size(video: VideoStream) -> tuple[int, int]:
    """Return width and height of a picture of the scrubbing preview, as a player shows it."""
    width, height = video.width * video.sample_aspect, Fraction(video.height)
    factor = min(Fraction(1), STILL_SIDE / max(width, height))
    return even_below(width * factor), even_below(height * factor)


def segment_seconds(chunk: Chunk) -> Fraction:
    """Return how long the chunk's segments are: equal, and at most six seconds."""
    if chunk.end_us is None:
        return Fraction(SEGMENT_SECONDS)
    length = Fraction(chunk.end_us - chunk.start_us, 1_000_000)
    return length / max(1, ceil(length / SEGMENT_SECONDS))


def chunk_arguments(
    source: Sequence[str],
    probe: Probe,
    chunk: Chunk,
    sizes: Sequence[RenditionSize],
    grid: FrameGrid | None,
    *,
    threads: int,
    stills: FrameGrid | None = None,
    seek_early_us: int = 0,
) -> list[str]:
    """Return the arguments that encode one chunk, to be run in its output directory.

    Writes `{name}/` with init, segments and `chunk.m3u8` for each size, and small pictures into `stills/`; with a grid
    the sampled frames go to stdout as raw yuv420p of even sides, otherwise ffmpeg's progress does.
    """
    assert probe.video is not None
    video = probe.video
    arguments = [*_threads(threads), "-copyts", *seek(chunk, video, seek_early_us), *source]
    arguments += ["-filter_complex", _chunk_graph(probe, chunk, sizes, grid, stills)]
    for number in range(len(sizes)):
        arguments += ["-map", f"[r{number}]"]
    arguments += [*_h264(crf=23), *_aligned(segment_seconds(chunk)), *_timing(video), "-threads:v", str(threads)]
    for number, size in enumerate(sizes):
        arguments += [f"-level:v:{number}", h264_level(size.width, size.height, video.frame_rate)]
    arguments += [*_hls(segment_seconds(chunk), f"c{chunk.index:05d}"), *offset(probe)]
    names = " ".join(f"v:{number},name:{size.name}" for number, size in enumerate(sizes))
    arguments += ["-var_stream_map", names, "%v/chunk.m3u8"]
    if stills:
        arguments += ["-map", "[stills]", "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", "3", "-threads:v", "1"]
        arguments += ["-f", "image2", "stills/%06d.jpg"]
    if grid is None:
        return ["-progress", "pipe:1", "-stats_period", "0.5", *arguments]
    return [*arguments, "-map", "[frames]", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]


def reading_arguments(
    source: Sequence[str], video: VideoStream, chunk: Chunk, grid: FrameGrid, *, threads: int, seek_early_us: int
) -> list[str]:
    """Return the arguments that send a chunk's sampled frames to stdout, the same as `chunk_arguments` does."""
    chain = [trim(chunk.start_pts, chunk.end_pts), *plain_picture(video), _sampling(video, grid)]
    arguments = [*_threads(threads), "-copyts", *seek(chunk, video, seek_early_us), *source]
    arguments += ["-filter_complex", f"[0:{video.index}]{','.join(chain)}[frames]", "-map", "[frames]"]
    return [*arguments, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]


def seek(chunk: Chunk, video: VideoStream, early_us: int = 0) -> list[str]:
    """Return how ffmpeg comes near the chunk's first keyframe; it may land before it, and `trim` drops the rest."""
    if chunk.start_pts is None:
        return []
    seconds = (chunk.start_pts * video.time_base) - Fraction(early_us, 1_000_000)
    return _seek_near(ceil(seconds * 1_000_000))


def offset(probe: Probe) -> list[str]:
    """Return what moves the source's timeline to the playlist's: time 0 comes to lie at one second."""
    return ["-output_ts_offset", _seconds(OFFSET_US - probe.start_us)]


def _seconds(microseconds: int) -> str:
    return f"{microseconds / 1_000_000:.6f}"


def _threads(threads: int) -> list[str]:
    # Before -i: the decoder's. The graph's filters would otherwise start a thread a core each.
    return ["-threads", str(threads), "-filter_complex_threads", "1"]


def _chunk_graph(
    probe: Probe, chunk: Chunk, sizes: Sequence[RenditionSize], grid: FrameGrid | None, stills: FrameGrid | None
) -> str:
    assert probe.video is not None
    video = probe.video
    branches = [f"[s{number}]" for number in range(len(sizes))] + ["[f]"] * bool(grid) + ["[p]"] * bool(stills)
    limits = trim(chunk.start_pts, chunk.end_pts)
    repair = [steady_times("setpts", video.frame_rate)] if may_jump(probe) else []
    shared = ",".join([limits, *repair, *plain_picture(video), f"split={len(branches)}"])
    graph = [f"[0:{video.index}]{shared}{''.join(branches)}"]
    graph += [
        f"[s{number}]scale={size.width}:{size.height},setsar=1,format=pix_fmts=yuv420p:color_ranges=tv[r{number}]"
        for number, size in enumerate(sizes)
    ]
    if grid:
        graph.append(f"[f]{_sampling(video, grid)}[frames]")
    if stills:
        graph.append(f"[p]{_still(video, stills)}[stills]")
    return ";".join(graph)


def trim(start_pts: int | None, end_pts: int | None) -> str:
    """Return the filter that keeps frames from `start_pts` to before `end_pts`, in ticks of the stream."""
    ends = [f"start_pts={start_pts}"] * (start_pts is not None) + [f"end_pts={end_pts}"] * (end_pts is not None)
    return f"trim={':'.join(ends)}" if ends else "null"


def _still(video: VideoStream, grid: FrameGrid) -> str:
    # Sampled before it is scaled: what is not shown costs nothing. JPEG has full range and the matrix of BT.601.
    width, height = still_size(video)
    scale = f"scale={width}:{height}:in_color_matrix={matrix_name(video)}:out_color_matrix=bt601:out_range=pc"
    return f"{_on_grid(video, grid)},{scale}:flags=area,setsar=1,format=pix_fmts=yuv420p:color_ranges=pc"


def _sampling(video: VideoStream, grid: FrameGrid) -> str:
    even = f"pad={even_side(video.width)}:{even_side(video.height)}," if video.width % 2 or video.height % 2 else ""
    return f"{_on_grid(video, grid)},{even}format=pix_fmts=yuv420p:color_ranges=tv"


def _on_grid(video: VideoStream, grid: FrameGrid) -> str:
    # round=up: a frame is seen by the first sample at or after it, so a sample shows the last frame before its time.
    # start_time: the first sample is ours even if the first frame is late.
    # Cut down to whole microseconds by ffmpeg and then rounded up, which gives the sample back.
    start = float(grid.first / grid.rate)
    sampled = f"fps={grid.rate.numerator}/{grid.rate.denominator}:round=up:start_time={start:.9f}"
    return f"setpts=PTS-({video.start_pts}),{sampled}"


def _h264(*, crf: int) -> list[str]:
    return ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p"]


def _aligned(seconds: Fraction) -> list[str]:
    # `t` counts from the chunk's first frame. All renditions get the same frames, so their keyframes agree.
    keyframes = f"expr:gte(t,n_forced*{float(seconds):.6f})"
    return ["-bf", "0", "-sc_threshold", "0", "-g", "100000", "-force_key_frames", keyframes]


def _timing(video: VideoStream) -> list[str]:
    exact = video.time_base.denominator <= MAX_TICKS_PER_SECOND
    return ["-fps_mode", "passthrough", "-enc_time_base", "demux" if exact else "1:90000"]


def _hls(seconds: Fraction, prefix: str) -> list[str]:
    # Half a millisecond early: the cut comes at a keyframe, and rounding must not make it miss one.
    return [
        "-f", "hls", "-hls_time", f"{float(seconds) - 0.0005:.6f}", "-hls_list_size", "0", "-hls_playlist_type", "vod",
        "-hls_segment_type", "fmp4", "-hls_segment_options", "movflags=+frag_discont",
        "-hls_fmp4_init_filename", f"{prefix}_init_%v.mp4", "-hls_segment_filename", f"%v/{prefix}_%05d.m4s",
    ]  # fmt: skip


def audio_arguments(source: Sequence[str], probe: Probe) -> list[str]:
    """Return the arguments that encode the sound tracks for HLS, to be run in the output directory.

    Writes `audio/`, `audio-2/` … and sends the first track's samples, 16 bits each, to stdout. Silence fills what is
    missing at the start and in gaps, so that sound stays with the picture.
    """
    names = sound_names(probe)
    tracks = probe.audio[: len(names)]
    graph = [_whole_sound(probe, number) for number in range(len(names))]
    graph[0] += ",asplit=2[a0][samples]"
    graph[1:] = [f"{part}[a{number}]" for number, part in enumerate(graph[1:], start=1)]
    arguments = ["-copyts", *source, "-filter_complex", ";".join(graph)]
    for number, track in enumerate(tracks):
        arguments += ["-map", f"[a{number}]", f"-ac:a:{number}", str(channels_kept(track))]
    arguments += ["-c:a", "aac", "-b:a", AUDIO_BITRATE, *_hls(Fraction(SEGMENT_SECONDS), "a"), *offset(probe)]
    named = " ".join(f"a:{number},name:{name}" for number, name in enumerate(names))
    arguments += ["-var_stream_map", named, "%v/chunk.m3u8"]
    return [*arguments, "-map", "[samples]", "-ac", str(channels_kept(tracks[0])), "-f", "s16le", "pipe:1"]


def _whole_sound(probe: Probe, number: int) -> str:
    track = probe.audio[number]
    rate = sound_rate(track.sample_rate)
    first = probe.start_us * rate // 1_000_000
    repair = f"{steady_times('asetpts', None)}," if may_jump(probe) else ""
    return f"[0:{track.index}]{repair}aresample={rate}:async=1:first_pts={first}"


def sound_names(probe: Probe) -> list[str]:
    """Return the names of the sound renditions, that of the default track first."""
    return ["audio", *(f"audio-{number}" for number in range(2, min(len(probe.audio), MAX_TRACKS) + 1))]


def channels_kept(track: AudioStream) -> int:
    """Return how many channels a track is played with."""
    return min(2, max(1, track.channels))


def sound_rate(sample_rate: int) -> int:
    """Return the rate that every player takes: the source's, or 48 kHz."""
    return sample_rate if sample_rate in AUDIO_RATES else 48000


def _aac(channels: int) -> list[str]:
    return ["-c:a", "aac", "-b:a", AUDIO_BITRATE, "-ac", str(min(2, max(1, channels)))]


def exact_cut_arguments(
    source: Sequence[str],
    probe: Probe,
    *,
    start_us: int,
    end_us: int,
    shown_pts: int | None,
    seek_us: int | None,
    aspect: Fraction | None = None,
) -> list[str]:
    """Return the arguments that re-encode from `start_us` to `end_us`, with an `aspect` the middle in that shape.

    `shown_pts` is the frame on the screen at the start; it is shown from the start on, not from its own time.
    """
    arguments = [*_threads(2), "-copyts", *_seek_near(seek_us)]
    graph, maps = [], []
    if probe.video is not None and shown_pts is not None:
        graph.append(_exact_picture(probe.video, start_us, end_us, shown_pts, aspect))
        maps += ["-map", "[v]", *_h264(crf=20), *_timing(probe.video), *_ending(end_us - start_us)]
    if probe.audio:
        graph.append(_exact_sound(probe, start_us, end_us))
        maps += ["-map", "[a]", *_aac(probe.audio[0].channels)]
    return [*arguments, *source, "-filter_complex", ";".join(graph), *maps, "-movflags", "+faststart", "-f", "mp4"]


def ticks(video: VideoStream, time_us: int) -> int:
    """Return the first tick of the stream at or after a time."""
    return video.start_pts + ceil(Fraction(time_us, 1_000_000) / video.time_base)


def _exact_picture(
    video: VideoStream, start_us: int, end_us: int, shown_pts: int, aspect: Fraction | None = None
) -> str:
    size = rendition_ladder(video.width, video.height, short_sides=(), sample_aspect=video.sample_aspect)[0]
    start, end = ticks(video, start_us), ticks(video, end_us)
    limits = trim(shown_pts, max(end, shown_pts + 1))
    shift = f"setpts=max(PTS\\,{start})-({start})"
    scale = f"scale={size.width}:{size.height},setsar=1,format=pix_fmts=yuv420p:color_ranges=tv"
    crop = ["crop={}:{}".format(*cropped_size(size.width, size.height, aspect))] if aspect else []  # of the middle
    return f"[0:{video.index}]{','.join([limits, *plain_picture(video), shift, scale, *crop])}[v]"


def _ending(length_us: int) -> list[str]:
    # The last frame stays until the clip ends: in a recording of variable rate it may begin seconds before. Only the
    # last duration is used, so all are said alike; without B-frames the last one decoded is the last one shown. The
    # filter has to be told to keep the times: by itself it takes those of decoding for both.
    return ["-bf", "0", "-bsf:v", f"setts=pts=PTS:dts=DTS:duration=max(1\\,{length_us / 1_000_000:.6f}/TB-PTS)"]


def _exact_sound(probe: Probe, start_us: int, end_us: int) -> str:
    rate = sound_rate(probe.audio[0].sample_rate)
    first, end = ((probe.start_us + time_us) * rate // 1_000_000 for time_us in (start_us, end_us))
    filled = f"aresample={rate}:async=1:first_pts={first}"
    return f"[0:{probe.audio[0].index}]{filled},atrim=start_pts={first}:end_pts={end},asetpts=PTS-({first})[a]"


def fast_cut_arguments(
    source: Sequence[str], probe: Probe, *, start_us: int, end_us: int, seek_us: int | None, copy_sound: bool
) -> list[str]:
    """Return the arguments that copy the streams from `start_us` to `end_us`.

    Packets begin with the keyframe at `seek_us`. Times are moved so that the start is 0: what lies before has
    negative times, and the edit list hides it. `-avoid_negative_ts make_zero` would show it.
    """
    arguments = ["-copyts", *_seek_near(seek_us), *source, "-t", _seconds(probe.start_us + end_us)]
    if probe.video is not None:
        arguments += ["-map", f"0:{probe.video.index}", "-c:v", "copy"]
    if probe.audio:
        arguments += ["-map", f"0:{probe.audio[0].index}"]
        arguments += ["-c:a", "copy"] if copy_sound else _aac(probe.audio[0].channels)
    return [
        *arguments,
        "-output_ts_offset",
        _seconds(-probe.start_us - start_us),
        "-movflags",
        "+faststart",
        "-f",
        "mp4",
    ]


def _seek_near(seek_us: int | None) -> list[str]:
    # By the container's own times, and without ffmpeg's trim, which counts from the container's start.
    return [] if seek_us is None else ["-seek_timestamp", "1", "-noaccurate_seek", "-ss", _seconds(seek_us)]


def proxy_arguments(source: Sequence[str], probe: Probe) -> list[str]:
    """Return the arguments for one progressive MP4: copied where a browser plays it as it is, else encoded."""
    arguments = ["-progress", "pipe:1", "-stats_period", "0.5", *_threads(2), *source]
    if probe.video is not None:
        arguments += ["-map", f"0:{probe.video.index}", *_proxy_picture(probe.video)]
    if probe.audio:
        copied = probe.audio[0].codec == "aac" and "mov" in probe.container
        arguments += ["-map", f"0:{probe.audio[0].index}"]
        arguments += ["-c:a", "copy"] if copied else _aac(probe.audio[0].channels)
    return [*arguments, "-movflags", "+faststart", "-f", "mp4"]


def _proxy_picture(video: VideoStream) -> list[str]:
    plain = video.codec == "h264" and video.pixel_format in ("yuv420p", "yuvj420p")
    if plain and not video.interlaced and min(video.width, video.height) <= BEST_PROXY_SIDE:
        return ["-c:v", "copy"]
    sides = (BEST_PROXY_SIDE,)
    size = rendition_ladder(video.width, video.height, short_sides=sides, sample_aspect=video.sample_aspect)[0]
    scale = f"scale={size.width}:{size.height},setsar=1,format=pix_fmts=yuv420p:color_ranges=tv"
    return ["-vf", ",".join([*plain_picture(video), scale]), *_h264(crf=23), *_timing(video)]
