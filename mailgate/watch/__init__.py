"""What watches the service from within and tells those outside: metrics, health, readiness."""

from mailgate.watch.door import WatchDoor
from mailgate.watch.pulse import Pulse

__all__ = ["Pulse", "WatchDoor"]
