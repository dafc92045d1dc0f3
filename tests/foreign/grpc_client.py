"""Calls the example `grpc-server` with grpcio and writes what it sees to stdout, as JSON.

    grpc_client.py http://127.0.0.1:PORT < session-token

Messages are made and read by hand, so that no generated code is needed. What is right is for
tests/foreign_clients.rs to say.
"""

import http.client
import json
import sys
import urllib.parse

try:
    import grpc
except ImportError:
    sys.exit("grpcio is missing; remedy: ./scripts/test.sh installs it")

# Longer than a call takes on a busy machine; reached only by a bug.
PATIENCE = 20
SERVICE = "/echo.v1.Echo/"


def varint(number):
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number, content):
    """A field of one of the two wire types that echo.proto needs."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    content = content.encode()
    return varint(number << 3 | 2) + varint(len(content)) + content


def read_varint(data, at):
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def heard(data):
    """A message `Heard`: its text, who said it, and how much has been heard."""
    names = {1: "text", 2: "user_id", 3: "messages", 4: "bytes"}
    message, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if key & 7 == 2:
            value, at = data[at : at + value].decode(), at + value
        message[names[key >> 3]] = value
    return message


def outcome(call):
    """What a call comes to: its messages, or how it has failed."""
    try:
        return call()
    except grpc.RpcError as error:
        return {
            "code": error.code().value[0],
            "details": error.details(),
            "trailing": [list(map(str, pair)) for pair in error.trailing_metadata() or ()],
        }


class Client:
    def __init__(self, channel, token=None):
        self.channel = channel
        self.how = {
            "timeout": PATIENCE,
            "metadata": (("authorization", f"Bearer {token}"),) if token else (),
        }

    def stub(self, kind, path, read=heard):
        make = getattr(self.channel, kind)
        return make(path, request_serializer=bytes, response_deserializer=read)

    def say(self):
        return self.stub("unary_unary", SERVICE + "Say")(field(1, "grüße"), **self.how)

    def collect(self):
        spoken = (field(1, text) for text in ("a", "bc", "def"))
        return self.stub("stream_unary", SERVICE + "Collect")(spoken, **self.how)

    def repeat(self, times):
        repetition = field(1, "again") + field(2, times)
        return self.stub("unary_stream", SERVICE + "Repeat")(repetition, **self.how)

    def chat(self):
        spoken = (field(1, text) for text in ("a", "bc"))
        return self.stub("stream_stream", SERVICE + "Chat")(spoken, **self.how)

    def all_ways(self):
        return {
            "unary": outcome(self.say),
            "client stream": outcome(self.collect),
            "server stream": outcome(lambda: list(self.repeat(3))),
            "both": outcome(lambda: list(self.chat())),
        }

    def is_serving(self):
        check = self.stub("unary_unary", "/grpc.health.v1.Health/Check", bytes.hex)
        return check(b"", **self.how)

    def list_services(self):
        path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        answers = self.stub("stream_stream", path, bytes)(iter([field(7, "")]), **self.how)
        return sum(b"grpc.health.v1.Health" in answer for answer in answers)


def log_out(address, token):
    connection = http.client.HTTPConnection(address, timeout=PATIENCE)
    connection.request("POST", "/logout", headers={"Authorization": f"Bearer {token}"})
    return connection.getresponse().status


def main():
    address = urllib.parse.urlsplit(sys.argv[1]).netloc
    token = sys.stdin.readline().strip()
    with grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel:
        nobody, user = Client(channel), Client(channel, token)
        seen = {
            "health": outcome(nobody.is_serving),
            "nobody": nobody.all_ways(),
            "worn out": outcome(Client(channel, "worn-out").say),
            "user": user.all_ways(),
            "for admins": outcome(user.list_services),
        }
        open_stream = user.repeat(0)
        seen["first"] = next(open_stream)
        seen["logout"] = log_out(address, token)
        seen["open stream"] = outcome(lambda: [None for _ in open_stream][:0])
        seen["afterwards"] = outcome(user.say)
    json.dump(seen, sys.stdout)


main()
