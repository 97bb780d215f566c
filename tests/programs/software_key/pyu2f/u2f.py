"""What a client uses of pyu2f, which Debian does not have."""
import base64
import hashlib
import json
import socket
from types import SimpleNamespace
from software_key import Key


class Interface:
    def __init__(self, origin):
        self.origin = origin

    def Authenticate(self, app_id, challenge, registered_keys):
        text = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        data = {"typ": "navigator.id.getAssertion", "challenge": text, "origin": self.origin}
        digest = [hashlib.sha256(text.encode()).digest() for text in (app_id, json.dumps(data, sort_keys=True))]
        answer = Key().authenticate(*digest, registered_keys[0].key_handle)
        return SimpleNamespace(signature_data=answer, client_data=SimpleNamespace(origin=self.origin))


def GetLocalU2FInterface():
    return Interface(socket.gethostname())
