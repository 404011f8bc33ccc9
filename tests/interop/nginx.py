"""nginx with its RTMP module as somebody else's RTMP service: it records, counts, and asks a callback."""

import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.interop.processes import Program, free_port, running, wait_for_listener

RTMP_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")

CONFIG = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{rtmp_port};
        application live {{
            live on;
            record all;
            record_path {folder};
            {on_publish}
        }}
    }}
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{http_port};
        location /stat {{ rtmp_stat all; }}
        location /control {{ rtmp_control all; }}
    }}
}}
"""


@dataclass
class Callback:
    """What nginx asks when somebody wants to publish: `status` is the answer, `bodies` what came."""

    status: int
    url: str = ""
    bodies: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Nginx:
    """A running nginx."""

    stream_url: str
    http_url: str
    folder: Path
    program: Program

    def drop_publisher(self, name: str) -> None:
        """Close the connection of who publishes a stream."""
        url = f"{self.http_url}/control/drop/publisher?app=live&name={name}"
        with urllib.request.urlopen(url, timeout=5) as response:
            assert response.read() == b"1"

    def kill(self) -> None:
        """End it without a word to anybody."""
        self.program.process.kill()
        self.program.process.wait()

    def recording(self, name: str) -> Path:
        """The FLV file of a stream; complete once the stream has ended."""
        return self.folder / f"{name}.flv"

    def statistics(self, name: str) -> dict[str, str]:
        """The figures of a stream by the path of their element, "meta/video/width"; empty without it."""
        with urllib.request.urlopen(f"{self.http_url}/stat", timeout=5) as response:
            text = response.read().decode()
        stream = re.search(rf"<stream>\s*<name>{name}</name>(.*?)</stream>", text, re.DOTALL)
        return _leaves(stream[1]) if stream else {}


@contextmanager
def nginx(
    program: str, folder: Path, callback: Callback | None = None, ports: tuple[int, int] | None = None
) -> Iterator[Nginx]:
    """Run nginx with its files in `folder`; `ports`, for RTMP and HTTP, are chosen unless given."""
    rtmp_port, http_port = ports or (free_port(), free_port())
    folder.mkdir(exist_ok=True)
    config = folder / "nginx.conf"
    config.write_text(
        CONFIG.format(
            module=RTMP_MODULE,
            folder=folder,
            rtmp_port=rtmp_port,
            http_port=http_port,
            on_publish=f"on_publish {callback.url};" if callback else "",
        )
    )
    arguments = [program, "-e", "stderr", "-p", str(folder), "-c", str(config)]
    with running(arguments, folder / "nginx.log") as server:
        wait_for_listener(rtmp_port, server)
        wait_for_listener(http_port, server)
        stream_url, http_url = f"rtmp://127.0.0.1:{rtmp_port}/live", f"http://127.0.0.1:{http_port}"
        yield Nginx(stream_url, http_url, folder, server)


@contextmanager
def answering(status: int) -> Iterator[Callback]:
    """Serve an on_publish callback that always gives this answer."""
    callback = Callback(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            callback.bodies.append(self.rfile.read(length).decode())
            self.send_response(callback.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        callback.url = f"http://127.0.0.1:{server.server_port}/publish"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield callback
        finally:
            server.shutdown()
            thread.join()


def _leaves(text: str, path: str = "") -> dict[str, str]:
    """Elements of nginx's statistics, which have neither attributes nor mixed content worth reading."""
    found: dict[str, str] = {}
    for name, inner in re.findall(r"<(\w+)>(.*?)</\1>", text, re.DOTALL):
        if "<" in inner:
            found |= _leaves(inner, f"{path}{name}/")
        else:
            found[path + name] = inner.strip()
    return found
