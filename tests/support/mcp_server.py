"""An MCP server made with the official Python SDK, for tests: prints its endpoint, then serves until it is killed."""

import socket

import uvicorn
from mcp.server import MCPServer

server = MCPServer("library")


@server.tool()
def lend(title: str, weeks: int = 2) -> str:
    """Lends a book. Ask for its title."""
    if title == "unknown":
        raise ValueError("there is no such book")
    return f"{title} is lent for {weeks} weeks"


@server.tool()
def count(shelves: list[int]) -> dict[str, int]:
    """Counts the books of some shelves."""
    return {"books": sum(shelves)}


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])
