"""Stands in for the service manager: takes what comes on a notify socket, and prints a line of JSON for each message."""

import json
import socket
import struct
import sys
import time

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
print(json.dumps({"text": "bound"}), flush=True)
while True:
    # Descriptors that come along are not taken, and so are closed: that is what a barrier waits for.
    text, ancillary, _, _ = receiver.recvmsg(4096, socket.CMSG_SPACE(12))
    pid = next((struct.unpack("3i", value)[0] for _, kind, value in ancillary if kind == socket.SCM_CREDENTIALS), 0)
    print(json.dumps({"text": text.decode(), "pid": pid, "at": time.monotonic() * 1000}), flush=True)
