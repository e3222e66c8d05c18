"""Who the guarded server knows, one person for each role."""

from a_server import AServer

ROLES = ("user", "annotator", "reviewer", "admin")
NAMES = {"user": "Ulla", "annotator": "Anna", "reviewer": "Rita", "admin": "Ada"}
TOKENS = {role: f"{role}-token-of-the-tests-0123456789" for role in ROLES}
VIEWER = "https://viewer.hospital.example"
GUARDED = {
    "COUNTERPART_UPLOAD_MB": "4",
    "COUNTERPART_CORS_ORIGINS": VIEWER,
}


def write_token_file(server: AServer, roles: tuple[str, ...] = ROLES) -> None:
    """Write the token file, and have the server use it when it is started."""
    path = server.folder / "tokens"
    path.touch(mode=0o600)
    lines = [f"{NAMES[role]} {role} {TOKENS[role]}" for role in roles]
    path.write_text("\n".join(["# name role token", *lines]))
    server.environment["COUNTERPART_TOKEN_FILE"] = str(path)
