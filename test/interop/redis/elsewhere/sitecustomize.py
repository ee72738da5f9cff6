"""For tests that know one address of Redis, localhost:6379: with this folder in PYTHONPATH, whoever connects to that port comes to the one of REDIS_PORT."""
import os
import socket

connect = socket.socket.connect


def connect_elsewhere(self, address):
    if isinstance(address, tuple) and address[1] == 6379:
        address = (address[0], int(os.environ["REDIS_PORT"]), *address[2:])
    return connect(self, address)


socket.socket.connect = connect_elsewhere
