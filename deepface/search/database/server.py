"""What is said of a server that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

from deepface.errors import DatabaseError

#: Seconds to wait for a server that does not answer.
PATIENCE = 10


@dataclass(frozen=True)
class Server:
    """A kind of server: its name, the variable that says where one is, and what that looks like."""

    name: str
    variable: str
    address: str

    def refused(self, told: object = "") -> DatabaseError:
        """It does not know the user; ``told``: in its words, without secrets."""
        return DatabaseError(
            f"{self.name} refused the user or the password. Check connection_details or "
            f"{self.variable}.{f' ({told})' if told else ''}"
        )

    def forbidden(self, told: object) -> DatabaseError:
        """The user may not do what is asked."""
        return DatabaseError(f"{self.name}: the user may not do this; ask for the right. ({told})")

    def unreachable(self, told: object) -> DatabaseError:
        """It is not there, or does not answer."""
        return DatabaseError(
            f"{self.name} cannot be reached: is the server running, and is the address in "
            f"connection_details or {self.variable} right? It is like {self.address} ({told})"
        )

    def no_address(self) -> DatabaseError:
        """It cannot be looked for. What was given is not quoted: it may hold a password."""
        return DatabaseError(
            f"connection_details is no {self.name} address: it is like {self.address}"
        )
