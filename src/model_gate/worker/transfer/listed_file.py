"""A file as the listing describes it, and the errors about reading it part by part."""

from __future__ import annotations

from dataclasses import dataclass

from model_gate.domain.wording import printable
from model_gate.errors import RereadError, TransferError

# A pause between two reads of a stream, in seconds, that an error reports. Shorter ones occur between any windows.
_STALLED_SECONDS = 5.0


@dataclass(frozen=True)
class ListedFile:
    """A file that is read part by part.

    Attributes:
        path: Path of the file in its model.
        size: Listed size of the file in bytes.
        cut_off_hint: What the user can do if the server ends each response early, "" if nothing is known.
        stalled_hint: What the user can do if the server ends a response that nobody reads.
    """

    path: str
    size: int
    cut_off_hint: str = ""
    stalled_hint: str = "If it ends again, keep whole files with --download-dir."

    def wrong_size_error(self, actual: str) -> TransferError:
        """Return the error for a file of another size than listed."""
        return TransferError(
            f"{printable(self.path)} {actual} bytes, but was listed with {self.size:,}.",
            "The model may have changed: run the gate again.",
        )

    def cut_off_error(self, received: int, seconds: float, idle: float) -> TransferError:
        """Return the error for a response for the whole file that ended early and cannot be resumed.

        Args:
            received: Bytes of the file that have arrived.
            seconds: Seconds since the head of the response.
            idle: The longest time in seconds between two parts in which nothing was read.
        """
        message = (
            f"{printable(self.path)} ended after {received:,} bytes and {seconds:.0f} s, but was listed with"
            f" {self.size:,}."
        )
        remedy = "The transfer was cut short, or the model has changed: run the gate again."
        if idle < _STALLED_SECONDS:
            return TransferError(message, f"{remedy} {self.cut_off_hint}".rstrip())
        return TransferError(
            f"{message} Model Gate did not read from it for {idle:.0f} s, for example while it waited for the file of"
            " the other model.",
            f"{remedy} {self.stalled_hint}",
        )

    def not_resumed_error(self) -> TransferError:
        """Return the error for a response for the whole file that broke off, and whose rest the server cannot send."""
        return TransferError(
            f"The download of {printable(self.path)} broke off before its end, and the server cannot resume it.",
            f"Run the gate again. {self.cut_off_hint}".rstrip(),
        )

    def changed_error(self) -> TransferError:
        """Return the error for a file of which the server now has another version."""
        return TransferError(
            f"{printable(self.path)} changed while it was read: a part of it has another ETag, size or position.",
            "Run the gate again when nothing writes to the model.",
        )

    def broken_error(self) -> TransferError:
        """Return the error for a connection that keeps breaking."""
        return TransferError(f"The download of {printable(self.path)} broke off before its end.", "Run the gate again.")

    def refused_error(self, status: int) -> TransferError:
        """Return the error for a response with a status that no request for the file should get."""
        return TransferError(
            f"The server answers a request for {printable(self.path)} with status {status}.",
            "Check the server, and run the gate again.",
        )

    def ended_error(self) -> TransferError:
        """Return the error for reads that the gate has ended."""
        return TransferError(f"The download of {printable(self.path)} was ended.", "Run the gate again.")

    def reread_error(self) -> RereadError:
        """Return the error for a server that cannot send parts of the version that was read."""
        return RereadError(
            f"The server cannot send parts of {printable(self.path)} again.", "Keep whole files with --download-dir."
        )
