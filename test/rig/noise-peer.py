"""One end of session 2, written from docs/PROTOCOL.md over Debian's python3-dissononce: a handshake and a CONTROL each way.

usage: noise-peer.py JSON   role, secret, psk, payload, control, index; of an initiator `remote`; ends as [IP, PORT]:
bind, to. Bytes are in hexadecimal. Prints as JSON what it has heard.
"""

import hashlib
import json
import socket
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from dissononce.dh.x25519.x25519 import PrivateKey, PublicKey, X25519DH
from dissononce.extras.meta.protocol.factory import NoiseProtocolFactory

MASK = (1 << 64) - 1
MAC1 = slice(168, 184)


def rotated(word, by):
    return ((word << by) | (word >> (64 - by))) & MASK


def siphash128(key, message):
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE]
    v += [k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotated(v[1], 13) ^ v[0]
            v[0] = rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotated(v[1], 17) ^ v[2]
            v[2] = rotated(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    result = b""
    for place, value in ((2, 0xEE), (1, 0xDD)):
        v[place] ^= value
        rounds(4)
        result += struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])
    return result


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def tag_key(chaining_key, side):
    info = b"ipipou2 tag " + side
    return HKDF(hashes.SHA256(), 1560, None, info).derive(chaining_key).hex()


def main():
    told = json.loads(sys.argv[1])
    given = {name: bytes.fromhex(told[name]) for name in ("secret", "psk", "payload", "control")}
    initiator = told["role"] == "initiator"
    own = X25519DH().generate_keypair(PrivateKey(given["secret"]))
    server = bytes.fromhex(told["remote"]) if initiator else own.public.data
    protocol = NoiseProtocolFactory().get_noise_protocol("Noise_IKpsk2_25519_ChaChaPoly_SHA256")
    state = protocol.create_handshakestate()
    mac1_key = sha256(b"ipipou2 mac1", server)[:16]
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.settimeout(60)
    link.bind(tuple(told["bind"]))
    heard = {}

    def begin(header):
        state.initialize(
            protocol.pattern,
            initiator,
            b"ipipou 2" + header,
            s=own,
            rs=PublicKey(server) if initiator else None,
            psks=[given["psk"]],
        )

    def response_key():
        return sha256(b"ipipou2 response", state.symmetricstate._ck)[:16]

    def take(kind, length):
        packet = b""
        while packet[:4] != bytes([kind, 2 if kind == 0xF1 else 0, 0, 0]):
            packet, source = link.recvfrom(65536)
        assert len(packet) == length, len(packet)
        return packet, source

    message = bytearray()
    payload = bytearray()
    index = struct.pack(">I", told["index"])
    if initiator:
        header = bytes([0xF1, 2, 0, 0]) + index
        begin(header)
        state.write_message(given["payload"], message)
        key = response_key()
        packet = header + bytes(message)
        packet += siphash128(mac1_key, packet)
        link.sendto(packet + bytes(16), tuple(told["to"]))
        packet, to = take(0xF2, 140)
        assert packet[4:8] == index
        assert packet[124:] == siphash128(key, packet[:124])
        theirs = packet[8:12]
        ciphers = state.read_message(packet[12:124], payload)
    else:
        packet, to = take(0xF1, 200)
        assert packet[MAC1] == siphash128(mac1_key, packet[:168])
        begin(packet[:8])
        state.read_message(packet[8:168], payload)
        heard["remote"] = state.rs.data.hex()
        theirs = packet[4:8]
        key = response_key()
        ciphers = state.write_message(given["payload"], message)
        packet = bytes([0xF2, 0, 0, 0]) + theirs + index + bytes(message)
        link.sendto(packet + siphash128(key, packet), to)
    sending, receiving = ciphers if initiator else reversed(ciphers)

    def send_control():
        header = bytes([0xF4, 0, 0, 0]) + theirs + struct.pack(">Q", 5)
        sending.set_nonce(5)
        plain = given["control"].ljust(64, b"\0")
        link.sendto(header + sending.encrypt_with_ad(header, plain), to)

    def take_control():
        packet, _ = take(0xF4, 96)
        assert packet[4:8] == index
        receiving.set_nonce(struct.unpack(">Q", packet[8:16])[0])
        heard["control"] = receiving.decrypt_with_ad(packet[:16], packet[16:]).hex()

    for step in (send_control, take_control) if initiator else (take_control, send_control):
        step()
    chaining_key = state.symmetricstate._ck
    heard["payload"] = bytes(payload).hex()
    heard["tagKeys"] = [tag_key(chaining_key, side) for side in (b"client", b"server")]
    print(json.dumps(heard))


main()
