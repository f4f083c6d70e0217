"""What the package needs of its process: interrupts, logs, temporary files, patterns that end."""

VERSION = "1.0.0rc1"
