"""Plugs the key in, for python-fido2."""
import fido2.hid
from software_key import Key

fido2.hid.CtapHidDevice.list_devices = classmethod(lambda cls: iter([Key()]))
