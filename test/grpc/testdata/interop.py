"""Plays cases of gRPC's interoperability suite by the C core's client: interop.py host:port.

Messages are encoded by hand, so that nothing need be generated: each field is a tag, and a
number or bytes with their length.
"""
import sys
import threading

import grpc

PATIENCE = 60


def number(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(tag, value):
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    return number(tag << 3 | 2) + number(len(value)) + value


def payload(size):
    return field(2, b"\0" * size)


def fields(message):
    at = 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    found = {}
    while at < len(message):
        tag = take()
        value = take()
        if tag & 7 == 2:
            value, at = message[at:at + value], at + value
        found[tag >> 3] = value
    return found


def body(message):
    return len(fields(fields(message).get(1, b"")).get(2, b""))


def asked_for(sizes):
    return [field(2, field(1, size)) for size in sizes]


channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)])
SERVICE = "/grpc.testing.TestService/"
SIZES_UP, SIZES_DOWN = [27182, 8, 1828, 45904], [31415, 9, 2653, 58979]


def empty_unary():
    assert channel.unary_unary(SERVICE + "EmptyCall")(b"", timeout=PATIENCE) == b""


def large_unary():
    answer = channel.unary_unary(SERVICE + "UnaryCall")(field(2, 314159) + field(3, payload(271828)), timeout=PATIENCE)
    assert body(answer) == 314159, body(answer)


def client_streaming():
    answer = channel.stream_unary(SERVICE + "StreamingInputCall")((field(1, payload(size)) for size in SIZES_UP), timeout=PATIENCE)
    assert fields(answer)[1] == sum(SIZES_UP), answer


def server_streaming():
    answers = channel.unary_stream(SERVICE + "StreamingOutputCall")(b"".join(asked_for(SIZES_DOWN)), timeout=PATIENCE)
    assert [body(answer) for answer in answers] == SIZES_DOWN


def ping_pong():
    answered, got = threading.Semaphore(1), []

    def asks():
        for size, ask in zip(SIZES_UP, asked_for(SIZES_DOWN)):
            assert answered.acquire(timeout=PATIENCE)
            yield ask + field(3, payload(size))

    for answer in channel.stream_stream(SERVICE + "FullDuplexCall")(asks(), timeout=PATIENCE):
        got.append(body(answer))
        answered.release()
    assert got == SIZES_DOWN, got


def empty_stream():
    assert list(channel.stream_stream(SERVICE + "FullDuplexCall")(iter(()), timeout=PATIENCE)) == []


def fails(call, code, details=None):
    try:
        call()
    except grpc.RpcError as err:
        assert err.code() == code, err
        assert details is None or err.details() == details, err
        return
    raise AssertionError("it has not failed")


def status_code_and_message():
    for details in ["test status message", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"]:
        ask = field(7, field(1, 2) + field(2, details.encode()))
        fails(lambda: channel.unary_unary(SERVICE + "UnaryCall")(ask, timeout=PATIENCE), grpc.StatusCode.UNKNOWN, details)
        fails(lambda: list(channel.stream_stream(SERVICE + "FullDuplexCall")(iter([ask]), timeout=PATIENCE)), grpc.StatusCode.UNKNOWN, details)


def custom_metadata():
    binary = b"\xab\xab\xab"
    _, call = channel.unary_unary(SERVICE + "UnaryCall").with_call(field(2, 10) + field(3, payload(10)), timeout=PATIENCE, metadata=[
        ("x-grpc-test-echo-initial", "test_initial_metadata_value"), ("x-grpc-test-echo-trailing-bin", binary)])
    assert ("x-grpc-test-echo-initial", "test_initial_metadata_value") in list(call.initial_metadata()), call.initial_metadata()
    assert ("x-grpc-test-echo-trailing-bin", binary) in list(call.trailing_metadata()), call.trailing_metadata()


def unimplemented():
    fails(lambda: channel.unary_unary(SERVICE + "UnimplementedCall")(b"", timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)
    fails(lambda: channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")(b"", timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)


def held(ended):
    ended.wait(PATIENCE)
    yield from ()


def timeout_on_sleeping_server():
    ended = threading.Event()
    fails(lambda: list(channel.stream_stream(SERVICE + "FullDuplexCall")(held(ended), timeout=0.2)), grpc.StatusCode.DEADLINE_EXCEEDED)
    ended.set()


def cancel_after_first_response():
    ended = threading.Event()

    def asks():
        yield asked_for([31415])[0]
        yield from held(ended)

    call = channel.stream_stream(SERVICE + "FullDuplexCall")(asks(), timeout=PATIENCE)
    assert body(next(call)) == 31415
    call.cancel()
    fails(lambda: next(call), grpc.StatusCode.CANCELLED)
    ended.set()


def many_at_once():
    call = channel.unary_unary(SERVICE + "UnaryCall")
    calls = [(size, call.future(field(2, size) + field(3, payload(size)), timeout=PATIENCE)) for size in range(0, 60000, 200)]
    for size, one in calls:
        assert body(one.result()) == size


CASES = [empty_unary, large_unary, client_streaming, server_streaming, ping_pong, empty_stream, status_code_and_message, custom_metadata,
         unimplemented, timeout_on_sleeping_server, cancel_after_first_response, many_at_once]
for case in CASES:
    case()
print(len(CASES), "cases")
channel.close()
