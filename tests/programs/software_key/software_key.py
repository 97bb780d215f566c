"""A security key made of software, as the libraries see one that is plugged in (U2F raw message formats)."""
import os
import struct
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HANDLE = b"one of its keys"


class Key:
    def __init__(self):
        self.files = os.environ["SOFTWARE_KEY"]
        with open(os.path.join(self.files, "key.pem"), "rb") as file:
            self.private = serialization.load_pem_private_key(file.read(), None)

    def point(self):
        return self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)

    def sign(self, message):
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    def count(self):
        path = os.path.join(self.files, "counter")
        with open(path) as file:
            number = int(file.read()) + 1
        with open(path, "w") as file:
            file.write(str(number))
        return number

    def authenticate(self, application, client_data, handle):
        assert handle == HANDLE
        head = struct.pack(">BI", 1, self.count())
        return head + self.sign(application + head + client_data)

    def register(self, application, client_data):
        certificate = b"\x30\x03\x02\x01\x00"
        signed = b"\x00" + application + client_data + HANDLE + self.point()
        return (b"\x05" + self.point() + bytes([len(HANDLE)]) + HANDLE + certificate + self.sign(signed))

    def call(self, command, data=b"", event=None, on_keepalive=None):
        """A CTAP HID message with an APDU in it."""
        assert command == 3
        instruction, (length,) = data[1], struct.unpack(">H", data[5:7])
        body = data[7:7 + length]
        if instruction == 1:
            return self.register(body[32:64], body[:32]) + b"\x90\x00"
        if instruction == 2:
            return self.authenticate(body[32:64], body[:32], body[65:]) + b"\x90\x00"
        return b"\x6d\x00"
