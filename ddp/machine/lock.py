"""A lock on a file or folder that the system takes away when its holder dies: so the living and the
dead are told apart.
"""


def lock(fd: int, *, wait: bool) -> bool:
    """Locks it until the descriptor is closed, at the latest by the death of this process; False if
    it cannot be had.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which does not let anybody remove a file that is mapped
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
