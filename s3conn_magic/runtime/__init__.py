"""What the package needs from its process: background threads, interrupts, temporary files, safe patterns."""

VERSION = "1.0.0rc1"
