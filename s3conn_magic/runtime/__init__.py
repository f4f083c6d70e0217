"""What the package needs of its process: interrupts, logs, temporary files, patterns that end."""

VERSION = "0.1.0"
