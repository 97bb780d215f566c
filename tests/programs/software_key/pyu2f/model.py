class RegisteredKey:
    def __init__(self, key_handle, version="U2F_V2"):
        self.key_handle = key_handle
        self.version = version
