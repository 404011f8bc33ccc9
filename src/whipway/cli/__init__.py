"""The command line: `whipway serve`, `keys`, `config`, `token`, and `whipway --version`."""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from typing import Annotated
from urllib.parse import quote

import typer
import uvloop
from pydantic import ValidationError

from whipway import __version__
from whipway.cli.key_commands import keys
from whipway.cli.options import EXIT_BAD_CONFIGURATION, ConfigOption, SetOption, fail, load
from whipway.compiled import is_compiled
from whipway.config import Settings, Token
from whipway.gateway import Gateway, StartError
from whipway.logs import configure_logging
from whipway.streams.access.tokens import make_token
from whipway.worker.vitals import settle

app = typer.Typer(
    help="Whipway: live H.264 and Opus in by WHIP (RFC 9725), out by RTMP.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(keys, name="keys")

_USER_INFO = re.compile(r"""://[^/@\s"]*@""")
"""User and password in a URL. Other secrets mask themselves."""
_QUERY = re.compile(r"""\?(?!transport=)[^\s"]+""")
"""Of a URL. It may hold a key; that of a TURN server names a transport."""


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options that stand before a command."""
    if version:
        print(f"whipway {__version__}{' (compiled)' if is_compiled() else ''}")
        raise typer.Exit


@app.command()
def serve(config: ConfigOption = None, settings: SetOption = None) -> None:
    """Run the server until Ctrl-C or SIGTERM.

    Settings come from flags, then the environment (WHIPWAY_HTTP__PORT=8081), then the file, then defaults.
    """
    loaded = load(config, settings)
    configure_logging(loaded.log.level, loaded.log.format)
    try:
        uvloop.run(_serve(loaded))
    except StartError as error:
        fail(str(error))


@app.command("config")
def show_config(config: ConfigOption = None, settings: SetOption = None) -> None:
    """Check the configuration and print what is in force, as JSON."""
    text = load(config, settings).model_dump_json(indent=2)
    print(_QUERY.sub("?***", _USER_INFO.sub("://***@", text)))


@app.command()
def token(
    streams: Annotated[
        list[str] | None,
        typer.Option(
            "--streams", help="Names of streams it may publish, with commas; `*` is any characters."
        ),
    ] = None,
) -> None:
    """Make a bearer token and print it with its entry for the configuration.

    The entry holds only a hash: the token itself is shown here and never again.
    """
    made, digest = make_token(secrets.token_bytes)
    try:
        entry = Token(hash=digest, streams=",".join(streams or ["*"]))  # type: ignore[arg-type]
    except ValidationError as error:
        fail(f"--streams: {error.errors()[0]['msg']}", EXIT_BAD_CONFIGURATION)
    print(f"Token: {made}\n\n[[auth.tokens]]\nhash = {json.dumps(entry.hash)}")
    print(f"streams = {json.dumps(entry.streams, ensure_ascii=False)}")


def main() -> None:
    """Entry point of the `whipway` command."""
    app()


async def _serve(settings: Settings) -> None:
    gateway = Gateway(settings)
    signals: asyncio.Queue[None] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, None)
    await gateway.start()
    settle()
    _print_addresses(gateway)
    await signals.get()
    try:
        if count := gateway.session_count:
            await _drain(gateway, count, settings.session.drain_timeout, signals)
        _say("Stopping: ending sessions.")
    finally:
        await gateway.stop()


def _say(line: str) -> None:
    """Print, if anybody still reads it: whoever started this may have left."""
    try:
        print(line, flush=True)
    except OSError:
        # The interpreter would complain of the same at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _drain(gateway: Gateway, count: int, seconds: float, signals: "asyncio.Queue[None]") -> None:
    """Let sessions go on for a while. A second signal ends it."""
    if not seconds:
        return
    _say(f"Draining: {count} sessions may go on for {seconds:g} s. Once more to stop now.")
    draining = asyncio.create_task(gateway.drain())
    again = asyncio.create_task(signals.get())
    await asyncio.wait({draining, again}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, again):
        task.cancel()


def _print_addresses(gateway: Gateway) -> None:
    stream_url = gateway.stream_url or "rtmp://your-service/live"
    query = f"stream_name=my-stream&stream_url={quote(stream_url, safe=':/')}"
    print(f"Whipway {__version__}")
    print(f"  Page      {gateway.http_url}/")
    print(f"  WHIP URL  {gateway.http_url}/p/webrtc?{query}")
    if gateway.first_key is not None:
        print(f"  Admin key {gateway.first_key}  (to sign in; shown this once: keep it)")
    if gateway.bintu_port:
        print(f"  bintu     {gateway.bintu_url}/")
    print(f"  Play URL  {stream_url}/my-stream")
    if gateway.token is not None:
        print(f"  Token     {gateway.token}  (for this run; `whipway token` makes lasting ones)")
    for note in gateway.notes():
        print(f"  Note      {note}")
    sys.stdout.flush()
