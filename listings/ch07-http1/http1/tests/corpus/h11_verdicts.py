"""What h11 makes of messages: a question on each line of standard input, an answer on each of the
output. It is driven as the proofs drive ours: a server answers 200 to each request."""

import json
import sys

import h11


def server(data, ended):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=16 * 1024)
    if data:  # no data would say that the connection has ended
        connection.receive_data(data)
    messages = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            messages.append(begin(f"{text(event.method)} {text(event.target)}", event))
        elif not take(event, messages):
            return messages
        if isinstance(event, h11.EndOfMessage):
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            if connection.our_state is h11.SEND_BODY:
                connection.send(h11.EndOfMessage())
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return messages
            connection.start_next_cycle()


def client(data, asked, ended):
    connection = h11.Connection(h11.CLIENT)
    target = "a.example:443" if asked == "CONNECT" else "/"
    connection.send(h11.Request(method=asked, target=target, headers=[("Host", "a.example")]))
    connection.send(h11.EndOfMessage())
    if data:  # no data would say that the connection has ended
        connection.receive_data(data)
    if ended:
        connection.receive_data(b"")
    messages = []
    while True:
        event = connection.next_event()
        if isinstance(event, h11.InformationalResponse):
            messages.append(begin(str(event.status_code), event) | {"complete": True})
        elif isinstance(event, h11.Response):
            messages.append(begin(str(event.status_code), event))
        elif not take(event, messages):
            # What follows the last response was asked for by nobody.
            if connection.their_state is h11.DONE and connection.trailing_data[0]:
                raise h11.RemoteProtocolError("more than one response")
            return messages


def begin(first, event):
    return {"first": first, "fields": len(event.headers), "content": "", "trailers": 0, "complete": False}


def take(event, messages):
    if isinstance(event, h11.Data):
        messages[-1]["content"] += event.data.hex()
    elif isinstance(event, h11.EndOfMessage):
        messages[-1]["trailers"] = len(event.headers)
        messages[-1]["complete"] = True
    else:
        return False
    return True


def text(data):
    return data.decode("latin-1")


for line in sys.stdin:
    question = json.loads(line)
    data = bytes.fromhex(question["bytes"])
    answer = {"messages": [], "error": None}
    try:
        if question["role"] == "server":
            answer["messages"] = server(data, question["ended"])
        else:
            answer["messages"] = client(data, question["asked"], question["ended"])
    except h11.RemoteProtocolError as error:
        answer["error"] = str(error)
    print(json.dumps(answer))
