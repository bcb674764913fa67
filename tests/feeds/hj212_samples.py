"""Packets of HJ 212 with invented numbers, as a station sends them."""

from __future__ import annotations

from services.feeds.hj212_packets import crc_of

STACK = "7A0000000000000000000001"
"""An invented station (MN)."""
PASSWORD = "c0ffee-pw"


def framed(segment: bytes) -> bytes:
    return b"##%04d%s%04X\r\n" % (len(segment), segment, crc_of(segment))


def packet(
    area: str, command: int = 2011, system: int = 31, station: str = STACK, flag: str = "4", rest: str = ""
) -> bytes:
    """A packet with this data area. `rest`: fields behind Flag, as PNUM=2;PNO=1;"""
    head = f"QN=20260601083001000;ST={system};CN={command};PW={PASSWORD};MN={station};Flag={flag};{rest}"
    return framed(f"{head}CP=&&{area}&&".encode())


def stack(time: str = "20260601083000", flag: str = "N", so2: float = 18.5, **rest: str) -> bytes:
    """What a stack tells in real time: dust, SO2 and NOx, measured and converted, flow and oxygen."""
    factors = (
        f"a34013-Rtd=3.1,a34013-ZsRtd=3.4,a34013-Flag=N;a21026-Rtd={so2 - 2},a21026-ZsRtd={so2},a21026-Flag={flag};"
        "a21002-Rtd=31.0,a21002-ZsRtd=34.1,a21002-Flag=N;a00000-Rtd=50.5,a00000-Flag=N;a19001-Rtd=7.2,a19001-Flag=N;"
        "a01012-Rtd=52.1,a01012-Flag=N"
    )
    return packet(f"DataTime={time};{factors}", **rest)  # type: ignore[arg-type]  # of the texts none is a number
